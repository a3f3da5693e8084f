// The variables of the node agent.
import { bool, duration, integer, optional, readCommonSettings, readSettings, text } from '@wishbone/runtime/settings'
import type { ProbeSource } from './rules/pod-rules.ts'

const schema = {
  nodeName: text('NODE_NAME'),
  zdsPath: text('INPOD_UDS', '/var/run/ztunnel/ztunnel.sock'),
  cniPath: text('CNI_SOCKET', '/var/run/wishbone-cni/cni.sock'),
  namespaceFolder: optional('POD_NETNS_DIR'),
  procFolder: text('HOST_PROC', '/proc'),
  ipv6: bool('IPV6_ENABLED', true),
  dns: bool('AMBIENT_DNS_CAPTURE', true),
  excluded: text('EXCLUDE_NAMESPACES', 'kube-system'),
  probeIpv4: text('HOST_PROBE_SNAT_IP', '169.254.7.127'),
  probeIpv6: text('HOST_PROBE_SNAT_IPV6', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff'),
  kubeletUid: integer('KUBELET_UID', 0),
  metricsPort: integer('METRICS_PORT', 15_030, { max: 65_535 }),
  withdrawMs: duration('WITHDRAW_TIME', 2_000),
  drainMs: duration('POD_DRAIN_TIME', 300_000),
} as const

export interface NodeSettings {
  readonly nodeName: string
  readonly zdsPath: string
  readonly cniPath: string
  readonly namespaceFolder: string | undefined
  readonly procFolder: string
  readonly ipv6: boolean
  readonly dns: boolean
  readonly excludedNamespaces: readonly string[]
  readonly probeSource: ProbeSource
  readonly kubeletUid: number
  readonly metricsPort: number
  readonly withdrawMs: number
  readonly drainMs: number
  readonly logFormat: 'json' | 'text'
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
}

/** Throws an Error that names every variable that is wrong. */
export function readNodeSettings(env: Readonly<Record<string, string | undefined>>): NodeSettings {
  const { logFormat, logLevel } = readCommonSettings(env)
  const { excluded, probeIpv4, probeIpv6, ...own } = readSettings(env, schema)
  return {
    ...own,
    logFormat,
    logLevel,
    excludedNamespaces: excluded
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
    probeSource: { ipv4: probeIpv4, ipv6: probeIpv6 },
  }
}
