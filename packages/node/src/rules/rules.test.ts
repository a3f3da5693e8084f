import type { NftMatch, NftRuleset } from '@wishbone/runtime/os'
import { describe, expect, test } from 'vitest'
import { hostRules } from './host-rules.ts'
import { type PodRuleFacts, podRules } from './pod-rules.ts'

const facts: PodRuleFacts = {
  inbound: true,
  dns: true,
  probePorts: [8080, 9090],
  virtualInterfaces: [],
  ipv6: true,
  probeSource: { ipv4: '169.254.7.127', ipv6: 'fd16::1' },
}

/** One line per rule, near enough to nft's own words to be compared with the specification. */
function printed(rulesets: readonly NftRuleset[]): string {
  const lines: string[] = []
  for (const { table, chains, sets } of rulesets) {
    lines.push(`table ${table}`)
    for (const set of sets ?? [])
      lines.push(
        `  set ${set.name} ${set.key.join('.')} { ${(set.elements ?? []).map((one) => one.key.join('.')).join(', ')} }`,
      )
    for (const chain of chains) {
      lines.push(`  chain ${chain.name} ${chain.type} ${chain.priority}`)
      for (const rule of chain.rules) {
        const actions = Array.isArray(rule.action) ? rule.action : [rule.action]
        lines.push(
          `    ${[...rule.match.map(matchText), ...actions.map((action) => Object.values(action).join(' '))].join(' ')}`,
        )
      }
    }
  }
  return `${lines.join('\n')}\n`
}

function matchText(match: NftMatch): string {
  const { kind, ...rest } = match
  const not = 'negate' in rest && rest.negate === true ? '!' : ''
  const values = Object.entries(rest).filter(([key]) => key !== 'negate')
  return `${kind}${not}=${values.map(([, value]) => JSON.stringify(value).replaceAll('"', '')).join('/')}`
}

describe('inside the pod', () => {
  test('capturing everything', () => {
    expect(printed(podRules(facts, true))).toMatchInlineSnapshot(`
      "table wishbone-nat
        chain prerouting nat -100
          sourceIp=169.254.7.127 l4proto=tcp destinationPort=[8080,9090] accept
          destinationIp!=127.0.0.1 l4proto=tcp destinationPort!=15008 mark!=1337/4095 redirect 15006
          sourceIp=fd16::1 l4proto=tcp destinationPort=[8080,9090] accept
          destinationIp!=::1 l4proto=tcp destinationPort!=15008 mark!=1337/4095 redirect 15006
        chain output nat -100
          destinationIp=169.254.7.127 l4proto=tcp accept
          destinationIp=fd16::1 l4proto=tcp accept
          outInterface!=lo l4proto=udp destinationPort=53 mark!=1337/4095 redirect 15053
          destinationIp!=127.0.0.1 l4proto=tcp destinationPort=53 mark!=1337/4095 redirect 15053
          destinationIp!=::1 l4proto=tcp destinationPort=53 mark!=1337/4095 redirect 15053
          l4proto=tcp mark=273/4095 accept
          destinationIp!=127.0.0.1 outInterface=lo accept
          destinationIp!=::1 outInterface=lo accept
          destinationIp!=127.0.0.1 l4proto=tcp mark!=1337/4095 redirect 15001
          destinationIp!=::1 l4proto=tcp mark!=1337/4095 redirect 15001
      table wishbone-mangle
        chain prerouting filter -150
          mark=1337/4095 setCtMark 273 4095
        chain output route -150
          ctMark=273/4095 restoreMarkFromCt
      table wishbone-raw
        chain output filter -300
          l4proto=udp mark=1337/4095 destinationPort=53 ctZone 1
        chain prerouting filter -300
          l4proto=udp mark!=1337/4095 sourcePort=53 ctZone 1
      table wishbone-client-name
        chain output filter -300
          outInterface=lo l4proto=tcp mark=1337/4095 ctZone 1 original
      "
    `)
  })

  test('IPv4 only, without names, without inbound, with interfaces inside', () => {
    expect(
      printed(podRules({ ...facts, ipv6: false, dns: false, inbound: false, virtualInterfaces: ['docker0'] }, true)),
    ).toMatchInlineSnapshot(`
      "table wishbone-nat
        chain prerouting nat -100
          inInterface=docker0 l4proto=tcp redirect 15001
          inInterface=docker0 return
        chain output nat -100
          destinationIp=169.254.7.127 l4proto=tcp accept
          l4proto=tcp mark=273/4095 accept
          destinationIp!=127.0.0.1 outInterface=lo accept
          destinationIp!=127.0.0.1 l4proto=tcp mark!=1337/4095 redirect 15001
      table wishbone-mangle
        chain prerouting filter -150
          mark=1337/4095 setCtMark 273 4095
        chain output route -150
          ctMark=273/4095 restoreMarkFromCt
      table wishbone-client-name
        chain output filter -300
          outInterface=lo l4proto=tcp mark=1337/4095 ctZone 1 original
      "
    `)
  })

  test('a released pod keeps chains, marks and zones, and redirects nothing', () => {
    expect(printed(podRules(facts, false))).toMatchInlineSnapshot(`
      "table wishbone-nat
        chain prerouting nat -100
        chain output nat -100
      table wishbone-mangle
        chain prerouting filter -150
          mark=1337/4095 setCtMark 273 4095
        chain output route -150
          ctMark=273/4095 restoreMarkFromCt
      table wishbone-raw
        chain output filter -300
          l4proto=udp mark=1337/4095 destinationPort=53 ctZone 1
        chain prerouting filter -300
          l4proto=udp mark!=1337/4095 sourcePort=53 ctZone 1
      table wishbone-client-name
        chain output filter -300
          outInterface=lo l4proto=tcp mark=1337/4095 ctZone 1 original
      "
    `)
  })

  test('a pod without probes has no exemption', () => {
    const text = printed(podRules({ ...facts, probePorts: [] }, true))
    expect(text).not.toMatch(/sourceIp=169/)
  })
})

test('on the host only the probe ports of enrolled pods are translated', () => {
  const pods = [
    { uid: 'a', ips: ['10.0.0.1', 'fd00::1'], probePorts: [80, 81] },
    { uid: 'b', ips: ['10.0.0.2'], probePorts: [] },
  ]
  expect(printed([hostRules(pods, facts.probeSource, 0)])).toMatchInlineSnapshot(`
    "table wishbone-probes
      set probes-v4 ipv4.port { 10.0.0.1.80, 10.0.0.1.81 }
      set probes-v6 ipv6.port { fd00::1.80, fd00::1.81 }
      chain postrouting nat 90
        l4proto=tcp skuid=0 nfproto=ipv4 inSet=probes-v4/[destinationIp,destinationPort] snat 169.254.7.127
        l4proto=tcp skuid=0 nfproto=ipv6 inSet=probes-v6/[destinationIp,destinationPort] snat fd16::1
    "
  `)
})
