// The words of the mesh's state: the generated messages, and what is derived from them.
import type { workload as proto } from '@wishbone/proto'
import type { Authorization } from '../authorization/authorize.ts'

export type Address = proto.Address
export type Workload = proto.Workload
export type Service = proto.Service
export type GatewayAddress = proto.GatewayAddress
export type NetworkAddress = proto.NetworkAddress
export type { Authorization }

/** A workload as a member of one service. */
export interface Endpoint {
  readonly workload: Workload
  /** Service port to target port, as this workload serves them; target 0 means: look at the service. */
  readonly ports: ReadonlyMap<number, number>
}

/** Address resources that came or changed, by resource name, and the names of those that left. */
export interface AddressUpdate {
  readonly addresses: readonly (readonly [name: string, address: Address])[]
  readonly removed: readonly string[]
}

export interface AuthorizationUpdate {
  readonly authorizations: readonly (readonly [name: string, authorization: Authorization])[]
  readonly removed: readonly string[]
}

/** A resource that was not taken, for the NACK. */
export interface Rejection {
  readonly name: string
  readonly reason: string
}

/** A workload names policies that have not been received: new connections wait, then are refused. */
export interface MissingPolicies {
  readonly kind: 'missing'
  readonly names: readonly string[]
  /** The policies that are there; a DENY among them may be acted on at once. */
  readonly known: readonly Authorization[]
}

/** A waypoint or network gateway, looked up. */
export type Destination =
  | { readonly kind: 'service'; readonly service: Service }
  | { readonly kind: 'workload'; readonly workload: Workload }

export type MeshChange =
  | { readonly kind: 'addresses'; readonly updated: readonly string[]; readonly removed: readonly string[] }
  | { readonly kind: 'authorizations'; readonly updated: readonly string[]; readonly removed: readonly string[] }

export interface MeshOptions {
  /** Among services that share a VIP or hostname, wins after the client's own namespace and the canonical one. */
  readonly preferredNamespace?: string
}
