// What the decisions read of the mesh's state. MeshState fulfils it; nothing here changes it.
import type {
  Authorization,
  Destination,
  Endpoint,
  GatewayAddress,
  MissingPolicies,
  Service,
  Workload,
} from '@wishbone/core/mesh'

/** Addresses are canonical text (`ipKey`). */
export interface MeshView {
  workloadByUid(uid: string): Workload | undefined
  workloadByAddress(network: string, ip: string): Workload | undefined
  /** The service whose VIP or network this is, as a client of `clientNamespace` sees it. */
  serviceByAddress(network: string, ip: string, clientNamespace?: string): Service | undefined
  servicesByHostname(hostname: string): readonly Service[]
  endpointsOf(service: Service): readonly Endpoint[]
  /** A workload as a member of a service, healthy or not. */
  endpointOf(service: Service, uid: string): Endpoint | undefined
  resolveGateway(gateway: GatewayAddress, clientNamespace?: string): Destination | undefined
  policiesOf(workload: Workload): readonly Authorization[] | MissingPolicies
}
