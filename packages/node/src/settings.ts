// The variables of the node agent.
import { bool, duration, integer, optional, readCommonSettings, readSettings, text } from '@wishbone/runtime/settings'
import type { ProbeSource } from './rules/pod-rules.ts'

export const variables = {
  /** The node whose pods are enrolled. */
  nodeName: text('NODE_NAME'),
  /** The socket on which ztunnel connects. */
  zdsPath: text('INPOD_UDS', '/var/run/ztunnel/ztunnel.sock'),
  /** The socket on which the CNI plugin announces new pods. */
  cniPath: text('CNI_SOCKET', '/var/run/wishbone-cni/cni.sock'),
  /** The CNI plugin in the image; where there is none, none is installed. */
  cniPlugin: text('CNI_PLUGIN', '/opt/wishbone/wishbone-cni'),
  /** Where the node's container runtime has its plugins. */
  cniBinFolder: text('CNI_BIN_DIR', '/opt/cni/bin'),
  /** Where it has its network configurations. */
  cniConfFolder: text('CNI_CONF_DIR', '/etc/cni/net.d'),
  /** Folder with a bind mount of each pod's network namespace; without, they are found through HOST_PROC. */
  namespaceFolder: optional('POD_NETNS_DIR'),
  /** The host's /proc. */
  procFolder: text('HOST_PROC', '/proc'),
  /** Whether rules are made for IPv6 too. */
  ipv6: bool('IPV6_ENABLED', true),
  /** Whether pods' DNS queries go to ztunnel. */
  dns: bool('AMBIENT_DNS_CAPTURE', true),
  /** Namespaces that are never enrolled, comma-separated, besides the mesh's own. */
  excluded: text('EXCLUDE_NAMESPACES', 'kube-system'),
  /** The address that probes from the node have in pods. */
  probeIpv4: text('HOST_PROBE_SNAT_IP', '169.254.7.127'),
  /** The same for IPv6. */
  probeIpv6: text('HOST_PROBE_SNAT_IPV6', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff'),
  /** The user that probes pods: its connections are told apart from those of other processes of the node. */
  kubeletUid: integer('KUBELET_UID', 0),
  /** Metrics and readiness. */
  metricsPort: integer('METRICS_PORT', 15_030, { max: 65_535 }),
  /** How long the rules of a leaving pod stay at most until all proxies have acknowledged that it leaves. */
  withdrawMs: duration('WITHDRAW_TIME', 5_000),
  /** How long a pod that left the mesh keeps its old connections. */
  drainMs: duration('POD_DRAIN_TIME', 300_000),
} as const

export interface NodeSettings {
  readonly nodeName: string
  readonly zdsPath: string
  readonly cniPath: string
  /** The mesh's own namespace. */
  readonly namespace: string
  readonly clusterId: string
  readonly cniPlugin: string
  readonly cniBinFolder: string
  readonly cniConfFolder: string
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
  const { logFormat, logLevel, podNamespace, clusterId } = readCommonSettings(env)
  const { excluded, probeIpv4, probeIpv6, ...own } = readSettings(env, variables)
  const names = excluded.split(',').map((name) => name.trim())
  return {
    ...own,
    logFormat,
    logLevel,
    clusterId,
    namespace: podNamespace,
    excludedNamespaces: [...new Set([...names, podNamespace])].filter((name) => name !== ''),
    probeSource: { ipv4: probeIpv4, ipv6: probeIpv6 },
  }
}
