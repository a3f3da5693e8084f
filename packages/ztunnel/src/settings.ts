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

export const variables = {
  /** The node agent's socket. */
  zdsPath: text('INPOD_UDS', '/var/run/ztunnel/ztunnel.sock'),
  /** The network that this node is in. */
  network: text('NETWORK', ''),
  /** The mark of ztunnel's own packets, which the rules in pods let pass. */
  mark: integer('PACKET_MARK', defaultProxySettings.mark, { min: 1, max: 0xffff_ffff }),
  /** Whether to listen and connect on IPv6. */
  ipv6: bool('IPV6_ENABLED', true),
  /** Whether to answer pods' DNS queries. */
  dns: bool('DNS_CAPTURE', true),
  /** Whether the application sees the client's address: `true` always, `false` never, otherwise where it can be had. */
  keepSource: optional('ENABLE_ORIG_SRC'),
  /** Whether answers to CONNECT tell the client about the destination. */
  responseBaggage: bool('ENABLE_RESPONSE_BAGGAGE', true),
  /** The namespace whose Service wins when several have one hostname. */
  preferredNamespace: optional('PREFERED_SERVICE_NAMESPACE'),
  /** Admin interface, on localhost only. */
  adminPort: integer('ADMIN_PORT', 15_000, { max: 65_535 }),
  /** Metrics. */
  metricsPort: integer('METRICS_PORT', 15_020, { max: 65_535 }),
  /** Readiness. */
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
  const own = readSettings(env, variables)
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
