// Fixed names of the configuration language: controllers, labels, annotations, condition types.

export const gatewayController = 'wishbone.dev/gateway-controller'
export const meshController = 'wishbone.dev/mesh-controller'
export const parentControllers = [gatewayController, meshController] as const

export const gatewayGroup = 'gateway.networking.k8s.io'
export const gatewayApiVersion = `${gatewayGroup}/v1`

export const waypointClass = 'wishbone-waypoint'
export const istioWaypointClass = 'istio-waypoint'
/** On everything that the deployer makes. */
export const managedByLabel = 'wishbone.dev/managed-by'
export const automaticGatewayName = 'wishbone-auto'

export const labels = {
  dataplaneMode: 'istio.io/dataplane-mode',
  useWaypoint: 'istio.io/use-waypoint',
  useWaypointNamespace: 'istio.io/use-waypoint-namespace',
  waypointFor: 'istio.io/waypoint-for',
  ingressUseWaypoint: 'istio.io/ingress-use-waypoint',
  network: 'topology.istio.io/network',
  tunnel: 'networking.istio.io/tunnel',
  gatewayName: 'gateway.networking.k8s.io/gateway-name',
  gatewayClass: 'gateway.networking.k8s.io/gateway-class-name',
  /** On a ConfigMap of the system namespace: its parameters are for all Gateways of that class. */
  defaultsForClass: 'gateway.istio.io/defaults-for-class',
  automatic: 'wishbone.dev/automatic',
  /** On whatever carries use-waypoint; "open" lets traffic pass while the waypoint is missing or not ready. */
  failureMode: 'wishbone.dev/waypoint-failure-mode',
} as const

export const annotations = {
  redirection: 'ambient.istio.io/redirection',
  trafficDistribution: 'networking.istio.io/traffic-distribution',
  dryRun: 'istio.io/dry-run',
  /** On an automatic waypoint: when it was first ready (RFC 3339). */
  readySince: 'wishbone.dev/ready-since',
  /** On an automatic waypoint: since when nothing needs it (RFC 3339). */
  unusedSince: 'wishbone.dev/unused-since',
} as const

export const conditionTypes = {
  waypointBound: 'istio.io/WaypointBound',
  ztunnelAccepted: 'ZtunnelAccepted',
  waypointAccepted: 'WaypointAccepted',
  /** On a route's Service parent: whether a waypoint serves it now. */
  waypointReady: 'wishbone.dev/WaypointReady',
  /** On a Service that could not be translated. */
  translated: 'wishbone.dev/Translated',
} as const
