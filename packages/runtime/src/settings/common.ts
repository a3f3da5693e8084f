// The variables that every program reads, with Istio's names where Istio has one (docs: spec §4.9).
import { duration, oneOf, seconds, text } from './kinds.ts'
import { type Environment, readSettings, type SettingsOf } from './read.ts'

const controller = 'https://wishbone-controller.wishbone-system.svc:15012'
const rootFile = '/var/run/secrets/wishbone/root-cert.pem'

const schema = {
  podName: text('POD_NAME', ''),
  podNamespace: text('POD_NAMESPACE', 'wishbone-system'),
  nodeName: text('NODE_NAME', ''),
  instanceIp: text('INSTANCE_IP', ''),
  serviceAccount: text('SERVICE_ACCOUNT', ''),
  clusterId: text('CLUSTER_ID', 'Kubernetes'),
  clusterDomain: text('CLUSTER_DOMAIN', 'cluster.local'),
  trustDomain: text('TRUST_DOMAIN', 'cluster.local'),
  logFormat: oneOf('LOG_FORMAT', ['json', 'text'], 'text'),
  logLevel: oneOf('LOG_LEVEL', ['debug', 'info', 'warn', 'error'], 'info'),
  xdsAddress: text('XDS_ADDRESS', controller),
  caAddress: text('CA_ADDRESS', controller),
  xdsRootCa: text('XDS_ROOT_CA', rootFile),
  caRootCa: text('CA_ROOT_CA', rootFile),
  authToken: text('AUTH_TOKEN', '/var/run/secrets/tokens/istio-token'),
  secretTtlSeconds: seconds('SECRET_TTL', 86_400),
  terminationGraceMs: duration('TERMINATION_GRACE_PERIOD_SECONDS', 300_000),
  connectionTerminationDeadlineMs: duration('CONNECTION_TERMINATION_DEADLINE', 300_000),
} as const

export type CommonSettings = SettingsOf<typeof schema>

/** Reads the settings that all programs share. Durations are in milliseconds except `secretTtlSeconds`. */
export function readCommonSettings(env: Environment): CommonSettings {
  return readSettings(env, schema)
}
