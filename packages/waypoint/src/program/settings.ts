// What the program reads from its environment beyond what all programs read.
import {
  bool,
  type CommonSettings,
  duration,
  integer,
  optional,
  readCommonSettings,
  readSettings,
  text,
} from '@wishbone/runtime/settings'
import { defaultLimits } from '../server/limits.ts'

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
  /** The address for all but a gateway's listeners: tunnels, metrics, readiness; when absent, tunnels listen as LISTEN_HOST says and the rest on all. */
  internalHost: optional('INTERNAL_HOST'),
  /** Added to a gateway's ports below 1024 when they are opened, by who may not open those; redirects name the ports that are open. */
  portOffset: integer('PORT_OFFSET', 0, { max: 64_000 }),
  /** Whether each request leaves a line in the log. */
  accessLog: bool('ACCESS_LOG', true),
  /** Of a gateway: connections of all ports together; those above are reset. */
  maxConnections: integer('MAX_CONNECTIONS', defaultLimits.maxConnections, { max: 1_000_000 }),
  /** Bytes of a request's head. */
  maxHeaderBytes: integer('MAX_HEADER_BYTES', defaultLimits.maxHeaderBytes, { max: 1 << 20 }),
  /** Requests at a time on one HTTP/2 connection. */
  maxConcurrentStreams: integer('MAX_CONCURRENT_STREAMS', defaultLimits.maxConcurrentStreams, { max: 65_535 }),
  /** For the whole head of a request, and for what begins an HTTP/2 connection. */
  headersTimeoutMs: duration('HEADERS_TIMEOUT', defaultLimits.headersTimeoutMs),
  /** Of a gateway: without a byte from a client that owes some of its body, or that does not take its answer. Not for waiting for a backend (the route's timeouts), nor for open gRPC streams, which may be quiet. */
  stallTimeoutMs: duration('STALL_TIMEOUT', defaultLimits.stallTimeoutMs),
  /** Between requests on a connection; an HTTP/2 connection without an open stream is told GOAWAY then. */
  idleTimeoutMs: duration('IDLE_TIMEOUT', defaultLimits.idleTimeoutMs),
  /** Of a gateway: proxies in front that are trusted to say in X-Forwarded-For and -Proto who the client is. */
  trustedHops: integer('TRUSTED_HOPS', 0, { max: 64 }),
  /** Of a gateway: ports, comma-separated, whose connections begin with a PROXY protocol header; "all" for every one. */
  proxyProtocol: text('PROXY_PROTOCOL', ''),
  /** How long a stopping proxy goes on accepting, for clients that have not heard; half of it when nobody came lately, and not at all when its Gateway is gone. */
  lingerMs: duration('LINGER', 5_000),
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
