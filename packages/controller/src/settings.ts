// The controller's environment variables; where Istio has a name for one, it is that name.
import { bool, integer, optional, readCommonSettings, readSettings, seconds, text } from '@wishbone/runtime/settings'
import { defaultSettings, type Settings } from './model/index.ts'

const schema = {
  image: text('PROXY_IMAGE', defaultSettings.image),
  discoveryAddress: optional('DISCOVERY_ADDRESS'),
  network: text('NETWORK', ''),
  /** `<namespace>/<service account>`, comma-separated: who may ask for the identities of the pods on its node. */
  nodeProxyAccounts: optional('CA_TRUSTED_NODE_ACCOUNTS'),
  defaultTtlSeconds: seconds('DEFAULT_WORKLOAD_CERT_TTL', 86_400),
  maxTtlSeconds: seconds('MAX_WORKLOAD_CERT_TTL', 90 * 86_400),
  serverTtlSeconds: seconds('SERVER_CERT_TTL', 86_400),
  automaticWaypointLingerSeconds: seconds(
    'AUTOMATIC_WAYPOINT_LINGER',
    defaultSettings.automaticWaypointLingerMs / 1000,
  ),
  leaderElection: bool('LEADER_ELECTION', true),
  listenAddress: text('LISTEN_ADDRESS', ''),
  xdsPort: integer('XDS_PORT', 15012, { max: 65_535 }),
  metricsPort: integer('METRICS_PORT', 15014, { max: 65_535 }),
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
  const own = readSettings(env, schema)
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
