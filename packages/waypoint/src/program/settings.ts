// What the program reads from its environment beyond what all programs read.
import {
  bool,
  type CommonSettings,
  integer,
  optional,
  readCommonSettings,
  readSettings,
  text,
} from '@wishbone/runtime/settings'

export const variables = {
  /** HBONE. */
  hbonePort: integer('HBONE_PORT', 15008, { max: 65535 }),
  /** Metrics. */
  metricsPort: integer('METRICS_PORT', 15020, { max: 65535 }),
  /** Readiness. */
  readinessPort: integer('READINESS_PORT', 15021, { max: 65535 }),
  /** Admin interface, on localhost only. */
  adminPort: integer('ADMIN_PORT', 15000, { max: 65535 }),
  /** The address to listen on; all when empty. */
  listenHost: text('LISTEN_HOST', ''),
  /** Added to the ports of a gateway's listeners when they are opened. */
  portOffset: integer('PORT_OFFSET', 0, { max: 64_000 }),
  /** Whether each request leaves a line in the log. */
  accessLog: bool('ACCESS_LOG', true),
  /** Of a gateway: proxies in front that are trusted to say in X-Forwarded-For and -Proto who the client is. */
  trustedHops: integer('TRUSTED_HOPS', 0, { max: 64 }),
  /** Of a gateway: ports, comma-separated, whose connections begin with a PROXY protocol header; "all" for every one. */
  proxyProtocol: text('PROXY_PROTOCOL', ''),
  /** The network that this proxy is in. */
  network: text('NETWORK', ''),
  /** The Gateway that this proxy stands for; spans name it as their service. */
  gatewayName: text('GATEWAY_NAME', 'waypoint'),
  /** A folder of fastify plugins, one file each. */
  pluginsFolder: optional('PLUGINS_FOLDER'),
  /** Where spans are sent (OTLP over HTTP); no tracing when absent. */
  otlpEndpoint: optional('OTEL_EXPORTER_OTLP_ENDPOINT'),
} as const

export type Settings = ReturnType<typeof readWaypointSettings>

/** @throws Error that names every variable that cannot be used. */
export function readWaypointSettings(env: NodeJS.ProcessEnv) {
  const common: CommonSettings = readCommonSettings(env)
  return { ...common, ...readSettings(env, variables) }
}
