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

const schema = {
  hbonePort: integer('HBONE_PORT', 15008, { max: 65535 }),
  metricsPort: integer('METRICS_PORT', 15020, { max: 65535 }),
  readyPort: integer('READY_PORT', 15021, { max: 65535 }),
  adminPort: integer('ADMIN_PORT', 15000, { max: 65535 }),
  listenHost: text('LISTEN_HOST', ''),
  /** Added to the ports of a gateway's listeners when they are opened. */
  portOffset: integer('PORT_OFFSET', 0, { max: 64_000 }),
  accessLog: bool('ACCESS_LOG', true),
  network: text('NETWORK', ''),
  /** A folder of fastify plugins, one file each. */
  pluginsFolder: optional('PLUGINS_FOLDER'),
  otlpEndpoint: optional('OTEL_EXPORTER_OTLP_ENDPOINT'),
} as const

export type Settings = ReturnType<typeof readWaypointSettings>

/** @throws Error that names every variable that cannot be used. */
export function readWaypointSettings(env: NodeJS.ProcessEnv) {
  const common: CommonSettings = readCommonSettings(env)
  return { ...common, ...readSettings(env, schema) }
}
