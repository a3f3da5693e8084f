// Everything that a translation may look at: the objects of the cluster at one moment, and the
// moment. Deep-frozen by the store; a translation never mutates or keeps it.
import type {
  AuthorizationPolicy,
  BackendTLSPolicy,
  ConfigMap,
  Deployment,
  EndpointSlice,
  FaultInjection,
  Gateway,
  GatewayClass,
  GRPCRoute,
  HTTPRoute,
  KubeObject,
  ListenerSet,
  Namespace,
  Node,
  PeerAuthentication,
  Pod,
  ReferenceGrant,
  RequestAuthentication,
  Secret,
  Service,
  ServiceAccount,
  TCPRoute,
  TLSRoute,
  UDPRoute,
} from '../kinds/index.ts'

export interface Snapshot {
  readonly gatewayClasses: readonly GatewayClass[]
  readonly gateways: readonly Gateway[]
  readonly httpRoutes: readonly HTTPRoute[]
  readonly grpcRoutes: readonly GRPCRoute[]
  readonly tcpRoutes: readonly TCPRoute[]
  readonly tlsRoutes: readonly TLSRoute[]
  readonly udpRoutes: readonly UDPRoute[]
  readonly listenerSets: readonly ListenerSet[]
  readonly backendTlsPolicies: readonly BackendTLSPolicy[]
  readonly referenceGrants: readonly ReferenceGrant[]
  readonly services: readonly Service[]
  readonly endpointSlices: readonly EndpointSlice[]
  readonly pods: readonly Pod[]
  readonly namespaces: readonly Namespace[]
  readonly serviceAccounts: readonly ServiceAccount[]
  readonly nodes: readonly Node[]
  readonly secrets: readonly Secret[]
  readonly configMaps: readonly ConfigMap[]
  readonly authorizationPolicies: readonly AuthorizationPolicy[]
  readonly peerAuthentications: readonly PeerAuthentication[]
  /** Only to tell their authors that nothing enforces them. */
  readonly requestAuthentications: readonly RequestAuthentication[]
  readonly faultInjections: readonly FaultInjection[]
  readonly deployments: readonly Deployment[]
  readonly horizontalPodAutoscalers: readonly KubeObject[]
  readonly podDisruptionBudgets: readonly KubeObject[]
  /** What stands in the way of wanted infrastructure, by `<kind>/<namespace>/<name>`. */
  readonly blocked?: ReadonlyMap<string, Obstacle>
  /** The clock, for time limits such as an automatic waypoint's; milliseconds since the epoch. */
  readonly nowUnixMs: number
}

export interface Obstacle {
  /** foreign: somebody else's object has the name; refused: the API server does not accept the object. */
  readonly kind: 'foreign' | 'refused'
  /** A sentence for a status; the API server's own words where that refused. */
  readonly message: string
}

/** A snapshot without any object, to build others from. */
export const emptySnapshot: Snapshot = {
  gatewayClasses: [],
  gateways: [],
  httpRoutes: [],
  grpcRoutes: [],
  tcpRoutes: [],
  tlsRoutes: [],
  udpRoutes: [],
  listenerSets: [],
  backendTlsPolicies: [],
  referenceGrants: [],
  services: [],
  endpointSlices: [],
  pods: [],
  namespaces: [],
  serviceAccounts: [],
  nodes: [],
  secrets: [],
  configMaps: [],
  authorizationPolicies: [],
  peerAuthentications: [],
  requestAuthentications: [],
  faultInjections: [],
  deployments: [],
  horizontalPodAutoscalers: [],
  podDisruptionBudgets: [],
  nowUnixMs: 0,
}
