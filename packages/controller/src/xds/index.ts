// The configuration stream: clients, their sessions, and the gRPC server.
export type { ClientReport } from './client.ts'
export { Clients } from './clients.ts'
export { RenewableCredentials, type RunningGrpcServer, startGrpcServer } from './server.ts'
