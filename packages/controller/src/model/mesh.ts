// The mesh as proxies will know it: plain maps from resource name (ambient wire §2.3, l7.proto) to
// message. Not yet bytes (encode does that) and not per client (view does that).
import type { l7, security, workload } from '@wishbone/proto'

export interface Mesh {
  /** By uid, such as Kubernetes//Pod/shop/cart-1. */
  readonly workloads: ReadonlyMap<string, workload.Workload>
  /** By `<namespace>/<hostname>`. */
  readonly services: ReadonlyMap<string, workload.Service>
  /** What ztunnels enforce: with the exemption of bound waypoints. */
  readonly authorizations: ReadonlyMap<string, security.Authorization>
  /** The same names as waypoints enforce them on the client's own identity: without exemption. */
  readonly waypointAuthorizations: ReadonlyMap<string, security.Authorization>
  /** Those of the same names that speak of requests, as written: waypoints judge requests by them instead. */
  readonly requestPolicies: ReadonlyMap<string, l7.RequestPolicy>
  readonly listeners: ReadonlyMap<string, l7.Listener>
  readonly routes: ReadonlyMap<string, l7.Route>
  readonly tcpRoutes: ReadonlyMap<string, l7.TcpRoute>
  readonly udpRoutes: ReadonlyMap<string, l7.UdpRoute>
  readonly certificates: ReadonlyMap<string, l7.Certificate>
  /** What each waypoint and gateway may see; by `<namespace>/<gateway>`. */
  readonly scopes: ReadonlyMap<string, Scope>
}

/** The resource names that one waypoint or gateway may see. */
export interface Scope {
  readonly namespace: string
  readonly gateway: string
  /** The only service account whose token opens this scope. */
  readonly serviceAccount: string
  readonly workloads: ReadonlySet<string>
  readonly services: ReadonlySet<string>
  readonly authorizations: ReadonlySet<string>
  readonly listeners: ReadonlySet<string>
  readonly routes: ReadonlySet<string>
  readonly tcpRoutes: ReadonlySet<string>
  readonly udpRoutes: ReadonlySet<string>
  readonly certificates: ReadonlySet<string>
}
