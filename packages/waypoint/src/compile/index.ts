// Resources from the controller become an immutable table that requests are matched against. Pure.
export { backendOfService } from './backend.ts'
export { Compiler, type ResourceChanges } from './compiler.ts'
export { isMisdirected, selectListener } from './gateway.ts'
export { type Match, match, matchTcp, type NoMatch, protocolFor } from './match.ts'
export type {
  Backend,
  DirectResponse,
  Filters,
  InvalidBackend,
  ListenerTable,
  Mirror,
  NamedFault,
  PortTable,
  Protocol,
  RouteTable,
  Rule,
  ServiceBackend,
  Source,
  TcpRule,
  UdpPortTable,
  UdpRule,
  Upstream,
  UpstreamTls,
  WorkloadBackend,
} from './types.ts'
