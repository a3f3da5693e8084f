// The variables that every program reads, with Istio's names where Istio has one.
import { duration, oneOf, seconds, text } from './kinds.ts'
import { type Environment, readSettings, type SettingsOf } from './read.ts'

const controller = 'https://wishbone-controller.wishbone-system.svc:15012'
const rootFile = '/var/run/secrets/wishbone/root-cert.pem'

export const variables = {
  /** The program's own pod; names it in logs and towards the controller. */
  podName: text('POD_NAME', ''),
  /** The pod's namespace; for the controller, the namespace of the mesh. */
  podNamespace: text('POD_NAMESPACE', 'wishbone-system'),
  /** The node that the pod runs on. */
  nodeName: text('NODE_NAME', ''),
  /** The pod's address, as told to the controller. */
  instanceIp: text('INSTANCE_IP', ''),
  /** The pod's service account: the identity that it asks a certificate for. */
  serviceAccount: text('SERVICE_ACCOUNT', ''),
  /** The cluster's name in configuration and metrics. */
  clusterId: text('CLUSTER_ID', 'Kubernetes'),
  /** The DNS domain of the cluster's Services. */
  clusterDomain: text('CLUSTER_DOMAIN', 'cluster.local'),
  /** The trust domain of SPIFFE identities. */
  trustDomain: text('TRUST_DOMAIN', 'cluster.local'),
  /** One JSON object a line, or tab-separated text. */
  logFormat: oneOf('LOG_FORMAT', ['json', 'text'], 'text'),
  /** The least level that is written. */
  logLevel: oneOf('LOG_LEVEL', ['debug', 'info', 'warn', 'error'], 'info'),
  /** Where configuration comes from (delta xDS). */
  xdsAddress: text('XDS_ADDRESS', controller),
  /** Where certificates come from. */
  caAddress: text('CA_ADDRESS', controller),
  /** File with the root that the xDS server's certificate is checked against. */
  xdsRootCa: text('XDS_ROOT_CA', rootFile),
  /** File with the root that the CA server's certificate is checked against. */
  caRootCa: text('CA_ROOT_CA', rootFile),
  /** File with the service-account token of audience `istio-ca`; read anew for each use. */
  authToken: text('AUTH_TOKEN', '/var/run/secrets/tokens/istio-token'),
  /** The lifetime that is asked for workload certificates; they are renewed at half of it. */
  secretTtlSeconds: seconds('SECRET_TTL', 86_400),
  /** The pod's grace period; ztunnel ends its connections a little before it is over. */
  terminationGraceMs: duration('TERMINATION_GRACE_PERIOD_SECONDS', 300_000),
  /** How long a stopping proxy waits for its connections. */
  connectionTerminationDeadlineMs: duration('CONNECTION_TERMINATION_DEADLINE', 300_000),
} as const

export type CommonSettings = SettingsOf<typeof variables>

/** Reads the settings that all programs share. Durations are in milliseconds except `secretTtlSeconds`. */
export function readCommonSettings(env: Environment): CommonSettings {
  return readSettings(env, variables)
}
