// The controller's environment variables; where Istio has a name for one, it is that name.
import { bool, integer, optional, readCommonSettings, readSettings, seconds, text } from '@wishbone/runtime/settings'
import { defaultSettings, type Settings } from './model/index.ts'

export const variables = {
  /** The image of the waypoints and gateways that the controller makes. */
  image: text('PROXY_IMAGE', defaultSettings.image),
  /** Where those find the controller; by default its Service in its own namespace. */
  discoveryAddress: optional('DISCOVERY_ADDRESS'),
  /** Whether to make the GatewayClass istio-waypoint, for those who move over from Istio; one of another controller is left alone. */
  istioWaypointClass: bool('ISTIO_WAYPOINT_CLASS', false),
  /** How long stopping waypoints and gateways wait for their connections. */
  drainSeconds: seconds('PROXY_DRAIN_SECONDS', defaultSettings.drainSeconds),
  /** The network that the cluster's workloads are in. */
  network: text('NETWORK', ''),
  /** `<namespace>/<service account>`, comma-separated: who may ask for the identities of the pods on its node. */
  nodeProxyAccounts: optional('CA_TRUSTED_NODE_ACCOUNTS'),
  /** Lifetime of a certificate whose requester names none. */
  defaultTtlSeconds: seconds('DEFAULT_WORKLOAD_CERT_TTL', 86_400),
  /** Longest lifetime that is granted. */
  maxTtlSeconds: seconds('MAX_WORKLOAD_CERT_TTL', 90 * 86_400),
  /** Lifetime of the controller's own certificate. */
  serverTtlSeconds: seconds('SERVER_CERT_TTL', 86_400),
  /** How long an automatic waypoint stays after the last route or policy that needs it. */
  automaticWaypointLingerSeconds: seconds(
    'AUTOMATIC_WAYPOINT_LINGER',
    defaultSettings.automaticWaypointLingerMs / 1000,
  ),
  /** Whether Services of type ExternalName can be backends. Never in a cluster: who may write a Service could reach what only the gateway may (CVE-2021-25740). */
  externalNameBackends: bool('EXTERNAL_NAME_BACKENDS', defaultSettings.externalNameBackends),
  /** Whether replicas elect the one that writes statuses and Deployments; without, this one writes. */
  leaderElection: bool('LEADER_ELECTION', true),
  /** The address to listen on; all when empty. */
  listenAddress: text('LISTEN_ADDRESS', ''),
  /** Configuration and certificates (TLS). */
  xdsPort: integer('XDS_PORT', 15012, { max: 65_535 }),
  /** Metrics. */
  metricsPort: integer('METRICS_PORT', 15014, { max: 65_535 }),
  /** Readiness and `/debug`. */
  debugPort: integer('DEBUG_PORT', 8080, { max: 65_535 }),
} as const

/** Variables with this prefix are handed on, without it, to the waypoints and gateways that the controller makes. */
const proxyPrefix = 'PROXY_ENV_'
/** These are handed on as they are: one cluster, one log format, one certificate lifetime. */
const inherited = ['LOG_FORMAT', 'LOG_LEVEL', 'SECRET_TTL', 'TRUST_DOMAIN', 'CLUSTER_ID', 'CLUSTER_DOMAIN']

type Environment = Parameters<typeof readCommonSettings>[0]

export type ControllerSettings = ReturnType<typeof readControllerSettings>

/** Throws an error that names every variable that is wrong. */
export function readControllerSettings(env: Environment) {
  const common = readCommonSettings(env)
  const own = readSettings(env, variables)
  const namespace = common.podNamespace
  const accounts = own.nodeProxyAccounts ?? `${namespace}/ztunnel`
  return {
    ...common,
    ...own,
    nodeProxyAccounts: new Set(
      accounts
        .split(',')
        .map((account) => account.trim())
        .filter((account) => account !== ''),
    ),
    translation: {
      systemNamespace: namespace,
      trustDomain: common.trustDomain,
      clusterId: common.clusterId,
      clusterDomain: common.clusterDomain,
      network: own.network,
      image: own.image,
      discoveryAddress: own.discoveryAddress ?? `https://wishbone-controller.${namespace}.svc:15012`,
      proxyEnvironment: proxyEnvironment(env),
      istioWaypointClass: own.istioWaypointClass,
      drainSeconds: own.drainSeconds,
      externalNameBackends: own.externalNameBackends,
      automaticWaypointLingerMs: own.automaticWaypointLingerSeconds * 1000,
    } satisfies Settings,
  }
}

function proxyEnvironment(env: Environment): Readonly<Record<string, string>> {
  const handed: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === '') continue
    if (name.startsWith(proxyPrefix)) handed[name.slice(proxyPrefix.length)] = value
    else if (inherited.includes(name)) handed[name] ??= value
  }
  return handed
}
