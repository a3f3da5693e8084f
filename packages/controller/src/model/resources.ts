// Encoded resources, as the ADS server keeps and sends them.
import type { TypeUrl } from '@wishbone/proto'

export interface Resource {
  readonly name: string
  /** Other names under which an on-demand client may ask, such as `<network>/<ip>`. */
  readonly aliases: readonly string[]
  /** Names that, asked for on demand, bring this one too: a workload's services, and `node:<its node>`. */
  readonly groups?: readonly string[]
  /** A policy that covers workloads by its scope, whether or not they name it. */
  readonly shared?: boolean
  /** Hash of the content: equal on every replica. */
  readonly version: string
  readonly bytes: Uint8Array
}

/** Per type URL, the resources by name. */
export type Resources = ReadonlyMap<TypeUrl, ReadonlyMap<string, Resource>>

/** All resources, the variants that differ by client, and who may see what. */
export interface ResourceSet {
  /** As ztunnels see them: Address, and Authorization with the exemption of waypoints. */
  readonly ztunnel: Resources
  /** As waypoints and gateways see them, before their scope is applied. */
  readonly gateway: Resources
  /** By `<namespace>/<gateway>`. */
  readonly scopes: ReadonlyMap<string, ResourceScope>
}

export interface ResourceScope {
  readonly serviceAccount: string
  readonly names: ReadonlyMap<TypeUrl, ReadonlySet<string>>
}

/** Who a client is, decided by its token only. */
export type ClientScope =
  | { readonly kind: 'ztunnel'; readonly node?: string }
  | { readonly kind: 'gateway'; readonly namespace: string; readonly name: string }
