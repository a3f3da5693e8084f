// What other meshes leave in a pod's namespace is seen, whichever program made it.
import { execFileSync } from 'node:child_process'
import { applyRules, closeFd, newNamespace, setUp, withNamespace } from '@wishbone/runtime/os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { foreignChain } from '../src/enrolment/foreign.ts'
import { capture, chainNames } from '../src/rules/install.ts'

let pod: number

beforeEach(() => {
  pod = newNamespace()
  setUp(pod, 'lo')
})
afterEach(() => closeFd(pod))

/** False where there is no such program, or the kernel has not what it needs. */
function run(program: string, ...args: readonly string[]): boolean {
  try {
    withNamespace(pod, () => execFileSync(program, args, { stdio: 'ignore' }))
    return true
  } catch {
    return false
  }
}

test('an empty namespace and one of ours are nobody else’s', () => {
  expect(chainNames(pod)).toEqual([])
  const probeSource = { ipv4: '169.254.7.127', ipv6: 'fd16::1' }
  capture(pod, { inbound: true, dns: true, probePorts: [80], virtualInterfaces: [], ipv6: true, probeSource })
  expect(chainNames(pod)).toContain('wishbone-nat')
  expect(foreignChain(chainNames(pod))).toBeUndefined()
})

test('tables of nftables', () => {
  applyRules(pod, {
    family: 'inet',
    table: 'istio-ambient-nat',
    chains: [{ name: 'output', hook: 'output', type: 'nat', priority: -100, rules: [] }],
  })
  expect(foreignChain(chainNames(pod))).toMatch(/^Istio has captured it \(chain istio-ambient-nat/)
})

test.each(['iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy'])('chains of %s', (program) => {
  if (!run(program, '-t', 'nat', '-N', 'ISTIO_OUTPUT')) return
  run(program, '-t', 'nat', '-A', 'OUTPUT', '-j', 'ISTIO_OUTPUT')
  expect(foreignChain(chainNames(pod))).toMatch(/^Istio has captured it \(chain ISTIO_OUTPUT/)
})
