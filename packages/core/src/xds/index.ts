// Delta xDS without a transport: what one client of the server is owed, and what a client answers (ambient wire §2.2).
export { ClientSession, type ClientType } from './client.ts'
export { readRequest, writeRequest, writeResponse } from './messages.ts'
export { acknowledgedResources, createSession, isSettled, step } from './session.ts'
export { pushOrder, type Session, type SessionOptions } from './state.ts'
export type {
  DeltaRequest,
  DeltaResponse,
  NamedResource,
  ResourceMap,
  ResourceSet,
  SessionInput,
  SessionOutput,
  VersionedResource,
} from './types.ts'
