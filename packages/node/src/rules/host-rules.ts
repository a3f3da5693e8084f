// The host's rule that makes probes recognisable inside pods (ambient wire §3.5), for the probe ports only. Pure.
import type { NftElement, NftMatch, NftRule, NftRuleset, NftSet } from '@wishbone/runtime/os'
import type { ProbeSource } from './pod-rules.ts'

export const hostTable = 'wishbone-probes'

export const probeSets = {
  ipv4: { name: 'probes-v4', key: ['ipv4', 'port'] },
  ipv6: { name: 'probes-v6', key: ['ipv6', 'port'] },
} as const satisfies Record<string, NftSet>

export interface HostPod {
  readonly uid: string
  readonly ips: readonly string[]
  readonly probePorts: readonly number[]
}

/** `kubeletUid`: whose connections are probes. Connections that are only forwarded never are. */
export function hostRules(pods: readonly HostPod[], source: ProbeSource, kubeletUid: number): NftRuleset {
  const rule = (set: NftSet, ip: string): NftRule => {
    const match: readonly NftMatch[] = [
      { kind: 'l4proto', value: 'tcp' },
      { kind: 'skuid', value: kubeletUid },
      { kind: 'nfproto', value: set.key[0] === 'ipv4' ? 'ipv4' : 'ipv6' },
      { kind: 'inSet', set: set.name, fields: ['destinationIp', 'destinationPort'] },
    ]
    return { match, action: { kind: 'snat', ip }, comment: 'probes of enrolled pods' }
  }
  return {
    family: 'inet',
    table: hostTable,
    sets: [
      { ...probeSets.ipv4, elements: pods.flatMap((pod) => probeElements(pod).ipv4) },
      { ...probeSets.ipv6, elements: pods.flatMap((pod) => probeElements(pod).ipv6) },
    ],
    chains: [
      {
        name: 'postrouting',
        hook: 'postrouting',
        type: 'nat',
        // Before the masquerading of the cluster's network, which would win otherwise.
        priority: 90,
        policy: 'accept',
        rules: [rule(probeSets.ipv4, source.ipv4), rule(probeSets.ipv6, source.ipv6)],
      },
    ],
  }
}

/** The elements of one pod, for adding and deleting it alone. */
export function probeElements(pod: HostPod): {
  readonly ipv4: readonly NftElement[]
  readonly ipv6: readonly NftElement[]
} {
  const of = (ips: readonly string[]): readonly NftElement[] =>
    ips.flatMap((ip) => pod.probePorts.map((port) => ({ key: [ip, port], comment: pod.uid })))
  return { ipv4: of(pod.ips.filter((ip) => !ip.includes(':'))), ipv6: of(pod.ips.filter((ip) => ip.includes(':'))) }
}
