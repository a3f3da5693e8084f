import { parseAuthority } from '@wishbone/core/hbone'
import { parseSpiffe } from '@wishbone/core/identity'
import { workload as proto, security } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { decideInbound } from './inbound.ts'
import { type Contents, memberOf, policyOf, serviceOf, stateOf, waypointAt, workloadOf } from './testing.ts'
import type { InboundFacts } from './types.ts'

const local = workloadOf('server', '10.0.0.2', { services: memberOf('web.shop.svc.cluster.local', 80, 9080) })
const alice = parseSpiffe('spiffe://cluster.local/ns/shop/sa/alice')!

function decide(contents: Contents, target: string, more: Partial<InboundFacts> = {}) {
  const facts: InboundFacts = {
    local,
    localIp: '10.0.0.2',
    target: parseAuthority(target)!,
    tunnelled: true,
    peer: alice,
    peerIp: '10.0.0.1',
    network: '',
    ...more,
  }
  return decideInbound(stateOf({ ...contents, workloads: [facts.local, ...(contents.workloads ?? [])] }), facts)
}

describe('destination', () => {
  test('our own address is served at its port', () => {
    expect(decide({}, '10.0.0.2:9080')).toMatchObject({ kind: 'accept', upstream: { ip: '10.0.0.2', port: 9080 } })
  })

  test('another address is a bad authority', () => {
    expect(decide({}, '10.0.0.3:9080')).toMatchObject({ kind: 'reject', code: 'bad-authority' })
  })

  test('a hostname leads to the port that this endpoint serves', () => {
    const services = [serviceOf('web', '10.96.0.1')]
    expect(decide({ services }, 'web.shop.svc.cluster.local:80')).toMatchObject({
      kind: 'accept',
      upstream: { port: 9080 },
    })
    expect(decide({ services }, 'web.shop.svc.cluster.local:81')).toMatchObject({
      kind: 'reject',
      code: 'no-healthy-upstream',
    })
    expect(decide({ services }, 'other.shop.svc.cluster.local:80')).toMatchObject({
      kind: 'reject',
      code: 'no-healthy-upstream',
    })
  })

  test.each([15001, 15006, 15008])('port %i is refused', (port) => {
    expect(decide({}, `10.0.0.2:${port}`)).toMatchObject({ kind: 'reject', code: 'connect-failed' })
  })

  test('a sandwiched waypoint serves what it is the waypoint of', () => {
    const host = 'gate.shop.svc.cluster.local'
    const gate = workloadOf('gate', '10.0.0.9', { services: memberOf(host, 15008, 15008) })
    const services = [
      serviceOf('web', '10.96.0.1', { waypoint: waypointAt(host) }),
      serviceOf('gate', '10.96.0.9', { ports: [{ servicePort: 15008, targetPort: 15008 }] }),
    ]
    const more = { local: gate, localIp: '10.0.0.9' }
    expect(decide({ services }, '10.96.0.1:80', more)).toMatchObject({
      kind: 'accept',
      upstream: { ip: '10.0.0.9', port: 80 },
    })
    expect(decide({ services }, '10.96.0.2:80', more)).toMatchObject({ kind: 'reject', code: 'bad-authority' })
  })

  test('an application tunnel takes any authority at its port', () => {
    const tunnel = workloadOf('server', '10.0.0.2', {
      applicationTunnel: { protocol: proto.ApplicationTunnel_Protocol.NONE, port: 15088 },
    })
    expect(decide({}, '10.96.0.1:80', { local: tunnel })).toMatchObject({ kind: 'accept', upstream: { port: 15088 } })
  })
})

describe('policies', () => {
  const rule = (principal: string) => [
    { clauses: [{ matches: [{ principals: [{ matchType: { case: 'exact' as const, value: principal } }] }] }] },
  ]
  const allowAlice = policyOf('allow-alice', { rules: rule('cluster.local/ns/shop/sa/alice') })
  const denyAlice = policyOf('deny-alice', {
    action: security.Action.DENY,
    rules: rule('cluster.local/ns/shop/sa/alice'),
  })
  const strict = policyOf('strict', {
    action: security.Action.DENY,
    rules: [{ clauses: [{ matches: [{ notPrincipals: [{ matchType: { case: 'presence', value: {} } }] }] }] }],
  })

  test('names the policy that allowed', () => {
    expect(decide({ policies: [allowAlice] }, '10.0.0.2:80')).toMatchObject({
      kind: 'accept',
      policy: 'shop/allow-alice',
    })
  })

  test('names the policy that denied', () => {
    expect(decide({ policies: [allowAlice, denyAlice] }, '10.0.0.2:80')).toMatchObject({
      kind: 'reject',
      code: 'denied',
      policy: 'shop/deny-alice',
    })
  })

  test('plaintext has no identity: it matches no ALLOW, and STRICT denies it', () => {
    const plaintext = { tunnelled: false, peer: undefined }
    expect(decide({ policies: [allowAlice] }, '10.0.0.2:80', plaintext)).toMatchObject({
      kind: 'reject',
      code: 'denied',
    })
    expect(decide({ policies: [strict] }, '10.0.0.2:80', plaintext)).toMatchObject({
      kind: 'reject',
      policy: 'shop/strict',
    })
    expect(decide({ policies: [strict] }, '10.0.0.2:80')).toMatchObject({ kind: 'accept' })
  })

  test('a policy that is named but not there refuses, unless a known one denies at once', () => {
    const named = workloadOf('server', '10.0.0.2', { authorizationPolicies: ['shop/later'] })
    expect(decide({ policies: [allowAlice] }, '10.0.0.2:80', { local: named })).toMatchObject({
      kind: 'reject',
      code: 'policy-missing',
    })
    expect(decide({ policies: [denyAlice] }, '10.0.0.2:80', { local: named })).toMatchObject({
      kind: 'reject',
      code: 'denied',
    })
  })

  test('an ALLOW that is still to come may be the one that matches: missing, not denied', () => {
    const named = workloadOf('server', '10.0.0.2', { authorizationPolicies: ['shop/later'] })
    const bob = policyOf('allow-bob', { rules: rule('cluster.local/ns/shop/sa/bob') })
    expect(decide({ policies: [bob] }, '10.0.0.2:80', { local: named })).toMatchObject({
      kind: 'reject',
      code: 'policy-missing',
    })
  })
})
