// The variables of ztunnel beyond those that every program reads (ambient wire §4.9).
import {
  bool,
  type CommonSettings,
  integer,
  optional,
  readCommonSettings,
  readSettings,
  text,
} from '@wishbone/runtime/settings'
import { defaultProxySettings, type ProxySettings } from './proxy/context.ts'

const schema = {
  zdsPath: text('INPOD_UDS', '/var/run/ztunnel/ztunnel.sock'),
  network: text('NETWORK', ''),
  mark: integer('PACKET_MARK', defaultProxySettings.mark, { min: 1, max: 0xffff_ffff }),
  ipv6: bool('IPV6_ENABLED', true),
  dns: bool('DNS_CAPTURE', true),
  keepSource: optional('ENABLE_ORIG_SRC'),
  responseBaggage: bool('ENABLE_RESPONSE_BAGGAGE', true),
  preferredNamespace: optional('PREFERED_SERVICE_NAMESPACE'),
  adminPort: integer('ADMIN_PORT', 15_000, { max: 65_535 }),
  metricsPort: integer('METRICS_PORT', 15_020, { max: 65_535 }),
  readinessPort: integer('READINESS_PORT', 15_021, { max: 65_535 }),
} as const

export interface ZtunnelSettings {
  readonly common: CommonSettings
  readonly proxy: ProxySettings
  readonly zdsPath: string
  readonly preferredNamespace: string | undefined
  readonly ports: { readonly admin: number; readonly metrics: number; readonly ready: number }
  /** How long a stopping proxy waits for its connections. */
  readonly drainMs: number
  /** ISTIO_META_* without their prefix, and ISTIO_METAJSON_*. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Throws an Error that names every variable that is wrong. */
export function readZtunnelSettings(env: Readonly<Record<string, string | undefined>>): ZtunnelSettings {
  const common = readCommonSettings(env)
  const own = readSettings(env, schema)
  return {
    common,
    proxy: {
      ...defaultProxySettings,
      trustDomain: common.trustDomain,
      network: own.network,
      mark: own.mark,
      ipv6: own.ipv6,
      dns: own.dns,
      sourceAddress: own.keepSource === undefined ? 'best-effort' : own.keepSource === 'false' ? 'never' : 'always',
      responseBaggage: own.responseBaggage,
    },
    zdsPath: own.zdsPath,
    preferredNamespace: own.preferredNamespace,
    ports: { admin: own.adminPort, metrics: own.metricsPort, ready: own.readinessPort },
    drainMs: drainLimit(env, common),
    metadata: metadataOf(env),
  }
}

/** CONNECTION_TERMINATION_DEADLINE, else a little less than the grace period of the pod, else 300 s. */
function drainLimit(env: Readonly<Record<string, string | undefined>>, common: CommonSettings): number {
  if ((env['CONNECTION_TERMINATION_DEADLINE'] ?? '') !== '') return common.connectionTerminationDeadlineMs
  if ((env['TERMINATION_GRACE_PERIOD_SECONDS'] ?? '') === '') return 300_000
  const grace = common.terminationGraceMs
  return Math.max(1_000, grace - (grace > 10_000 ? 5_000 : 1_000))
}

function metadataOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const metadata: Record<string, string> = {}
  for (const [key, value] of Object.entries(env)) {
    if (value === undefined) continue
    const match = /^ISTIO_META(?:JSON)?_(.+)$/.exec(key)
    if (match !== null) metadata[match[1]!] = value
  }
  return metadata
}
