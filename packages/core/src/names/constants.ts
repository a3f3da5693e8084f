// Fixed names and numbers of the wire and of an installation (ambient wire §0; all others are settings).

export const ports = {
  outbound: 15001,
  inboundPlaintext: 15006,
  hbone: 15008,
  dns: 15053,
  admin: 15000,
  metrics: 15020,
  readiness: 15021,
  xds: 15012,
} as const

export const defaults = {
  systemNamespace: 'wishbone-system',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  cluster: 'Kubernetes',
  network: '',
  serviceAccount: 'default',
} as const

/**
 * The table in a pod's namespace that tracks ztunnel's connections to the application apart from captured ones. ztunnel looks for
 * it: where it is, both may have the same addresses and ports.
 */
export const clientNameTable = 'wishbone-client-name'
