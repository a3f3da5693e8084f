// What an operator decides about the controller and that changes no Kubernetes object.

export interface Settings {
  /** The root namespace of policies, and where the controller runs. */
  readonly systemNamespace: string
  readonly trustDomain: string
  readonly clusterId: string
  readonly clusterDomain: string
  /** The network of pods without the label topology.istio.io/network. */
  readonly network: string
  /** Image of waypoints and gateways. */
  readonly image: string
  /** Where waypoints find ADS and CA, such as https://wishbone-controller.wishbone-system.svc:15012. */
  readonly discoveryAddress: string
  /** Extra environment of waypoints and gateways, such as LOG_FORMAT or SECRET_TTL. */
  readonly proxyEnvironment: Readonly<Record<string, string>>
  /** Whether the GatewayClass istio-waypoint is made if there is none. */
  readonly istioWaypointClass: boolean
  /** How long a stopping waypoint or gateway waits for its connections. */
  readonly drainSeconds: number
  /** PEM of the roots for the ConfigMap wishbone-ca-root-cert; absent: no ConfigMap is wanted yet. */
  readonly rootCertificatesPem?: string
  /** Whether Services of type ExternalName can be backends: in a cluster never, for they would reach what their author may not (CVE-2021-25740). */
  readonly externalNameBackends: boolean
  /** How long an automatic waypoint outlives its last route; milliseconds. */
  readonly automaticWaypointLingerMs: number
}

export const defaultSettings: Settings = {
  systemNamespace: 'wishbone-system',
  trustDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  clusterDomain: 'cluster.local',
  network: '',
  image: 'wishbone',
  discoveryAddress: 'https://wishbone-controller.wishbone-system.svc:15012',
  proxyEnvironment: {},
  istioWaypointClass: false,
  drainSeconds: 300,
  externalNameBackends: false,
  automaticWaypointLingerMs: 600_000,
}
