// HBONE: HTTP/2 CONNECT tunnels over mutual TLS, with framing of our own (ambient wire §1).

export { connectHbone, type HboneClientSession, HboneStatusError } from './client.ts'
export { TunnelDuplex, toDuplex } from './duplex.ts'
export { pipeSocket } from './pipe.ts'
export { HbonePool } from './pool.ts'
export { acceptHbone } from './server.ts'
export type {
  AcceptHboneOptions,
  ConnectRequest,
  Dial,
  HboneServerSession,
  Headers,
  PooledSessionState,
  PoolKey,
  PoolOptions,
  SessionLog,
  SessionSettings,
  Tunnel,
  TunnelSink,
} from './types.ts'
