// The state that both proxies keep from xDS: workloads, services, endpoints, policies, and every way to look them up.
export { identityOf } from './identity.ts'
export { resolveService } from './resolve.ts'
export { isMissing, MeshState } from './state.ts'
export type {
  Address,
  AddressUpdate,
  Authorization,
  AuthorizationUpdate,
  Destination,
  Endpoint,
  GatewayAddress,
  MeshChange,
  MeshOptions,
  MissingPolicies,
  NetworkAddress,
  Rejection,
  Service,
  Workload,
} from './types.ts'
