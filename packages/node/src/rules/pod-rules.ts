// The rules inside a pod's namespace (ambient wire §3.5, §3.6) as data. Pure.
import { clientNameTable, ports } from '@wishbone/core/names'
import type { NftChain, NftMatch, NftRule, NftRuleset } from '@wishbone/runtime/os'
import type { Capture } from '../enrolment/decide.ts'

export interface PodRuleFacts extends Capture {
  /** Whether ztunnel listens for IPv6 too. */
  readonly ipv6: boolean
  /** From where probes come, after the host's SNAT. */
  readonly probeSource: ProbeSource
}

export interface ProbeSource {
  readonly ipv4: string
  readonly ipv6: string
}

export const tables = {
  nat: 'wishbone-nat',
  mangle: 'wishbone-mangle',
  raw: 'wishbone-raw',
  clientName: clientNameTable,
} as const

/** What ztunnel sends, and connections that ztunnel made in a client's name. */
export const marks = { proxy: 0x539, spoofed: 0x111, mask: 0xfff } as const
/** `ip rule fwmark 0x111/0xfff lookup 100`: replies to a client's address come back to ztunnel. */
export const routing = { table: 100, priority: 32_764 } as const

const tcp: NftMatch = { kind: 'l4proto', value: 'tcp' }
const udp: NftMatch = { kind: 'l4proto', value: 'udp' }
const notOurs: NftMatch = { kind: 'mark', value: marks.proxy, mask: marks.mask, negate: true }
const ours: NftMatch = { kind: 'mark', value: marks.proxy, mask: marks.mask }
const spoofed: NftMatch = { kind: 'mark', value: marks.spoofed, mask: marks.mask }
const dnsPort: NftMatch = { kind: 'destinationPort', value: 53 }
const accept = { kind: 'accept' } as const
const redirect = (port: number) => ({ kind: 'redirect', port }) as const

/**
 * The tables of an enrolled pod. `capturing` false keeps the tables (for what is open still needs address translation,
 * marks and routing) but lets every new connection pass by. The table of translations is first: whoever puts the tables in
 * force in this order never has tracking without translation.
 */
export function podRules(facts: PodRuleFacts, capturing: boolean): readonly NftRuleset[] {
  const chain = (
    name: 'prerouting' | 'output',
    type: NonNullable<NftChain['type']>,
    priority: number,
    rules: readonly NftRule[],
  ): NftChain => ({ name, hook: name, type, priority, policy: 'accept', rules })
  return [
    {
      family: 'inet',
      table: tables.nat,
      chains: [
        chain('prerouting', 'nat', -100, capturing ? inboundRules(facts) : []),
        chain('output', 'nat', -100, capturing ? outboundRules(facts) : []),
      ],
    },
    {
      family: 'inet',
      table: tables.mangle,
      chains: [
        chain('prerouting', 'filter', -150, [
          {
            match: [ours],
            action: { kind: 'setCtMark', value: marks.spoofed, mask: marks.mask },
            comment: 'a connection that ztunnel makes to the application',
          },
        ]),
        chain('output', 'route', -150, [
          {
            match: [{ kind: 'ctMark', value: marks.spoofed, mask: marks.mask }],
            action: { kind: 'restoreMarkFromCt' },
            comment: 'its replies go back to ztunnel',
          },
        ]),
      ],
    },
    ...(facts.dns ? [rawTable(chain)] : []),
    {
      family: 'inet',
      table: tables.clientName,
      chains: [
        chain('output', 'filter', -300, [
          {
            match: [{ kind: 'outInterface', value: 'lo' }, tcp, ours],
            // The way back needs none: the application's replies have addresses that no other connection has.
            action: { kind: 'ctZone', zone: 1, direction: 'original' },
            comment: 'from the address and port of a captured connection',
          },
        ]),
      ],
    },
  ]
}

/** Address families that are captured, with what must not be: loopback and the probes' source. */
function families({ ipv6, probeSource }: PodRuleFacts) {
  const v4 = { loopback: '127.0.0.1', probes: probeSource.ipv4 }
  return ipv6 ? [v4, { loopback: '::1', probes: probeSource.ipv6 }] : [v4]
}

function inboundRules(facts: PodRuleFacts): readonly NftRule[] {
  const rules: NftRule[] = []
  for (const name of facts.virtualInterfaces) {
    const inside: NftMatch = { kind: 'inInterface', value: name }
    rules.push({ match: [inside, tcp], action: redirect(ports.outbound), comment: 'from inside the pod' })
    rules.push({ match: [inside], action: { kind: 'return' } })
  }
  if (!facts.inbound) return rules
  for (const { loopback, probes } of families(facts)) {
    if (facts.probePorts.length > 0)
      rules.push({
        match: [{ kind: 'sourceIp', value: probes }, tcp, { kind: 'destinationPort', value: facts.probePorts }],
        action: accept,
        comment: 'probes of this pod',
      })
    rules.push({
      match: [
        { kind: 'destinationIp', value: loopback, negate: true },
        tcp,
        { kind: 'destinationPort', value: ports.hbone, negate: true },
        notOurs,
      ],
      action: redirect(ports.inboundPlaintext),
      comment: 'plaintext to the pod',
    })
  }
  return rules
}

function outboundRules(facts: PodRuleFacts): readonly NftRule[] {
  const rules: NftRule[] = []
  const all = families(facts)
  for (const { probes } of all)
    rules.push({ match: [{ kind: 'destinationIp', value: probes }, tcp], action: accept, comment: 'to the probes' })
  if (facts.dns) {
    const udpFamily: readonly NftMatch[] = facts.ipv6 ? [] : [{ kind: 'nfproto', value: 'ipv4' }]
    rules.push({
      match: [...udpFamily, { kind: 'outInterface', value: 'lo', negate: true }, udp, dnsPort, notOurs],
      action: redirect(ports.dns),
      comment: 'names over UDP',
    })
    for (const { loopback } of all)
      rules.push({
        match: [{ kind: 'destinationIp', value: loopback, negate: true }, tcp, dnsPort, notOurs],
        action: redirect(ports.dns),
        comment: 'names over TCP',
      })
  }
  rules.push({ match: [tcp, spoofed], action: accept, comment: "replies in a client's name" })
  for (const { loopback } of all)
    rules.push({
      match: [
        { kind: 'destinationIp', value: loopback, negate: true },
        { kind: 'outInterface', value: 'lo' },
      ],
      action: accept,
      comment: 'the pod to itself',
    })
  for (const { loopback } of all)
    rules.push({
      match: [{ kind: 'destinationIp', value: loopback, negate: true }, tcp, notOurs],
      action: redirect(ports.outbound),
      comment: 'everything else',
    })
  return rules
}

/** ztunnel's own queries are tracked apart: they may have the same addresses and ports as captured ones. */
function rawTable(
  chain: (name: 'prerouting' | 'output', type: 'filter', priority: number, rules: readonly NftRule[]) => NftChain,
): NftRuleset {
  const zone = { kind: 'ctZone', zone: 1 } as const
  return {
    family: 'inet',
    table: tables.raw,
    chains: [
      chain('output', 'filter', -300, [{ match: [udp, ours, dnsPort], action: zone }]),
      chain('prerouting', 'filter', -300, [{ match: [udp, notOurs, { kind: 'sourcePort', value: 53 }], action: zone }]),
    ],
  }
}
