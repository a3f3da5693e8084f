import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import type { SpiffeId } from '../identity/spiffe.ts'
import { parseCidr, parseIp } from '../ip/index.ts'
import { authorize, type ConnectionFacts, explain, matchesPolicy, validateAuthorization } from './index.ts'

type Init = MessageInitShape<typeof security.AuthorizationSchema>
type MatchInit = MessageInitShape<typeof security.MatchSchema>
const { ALLOW, DENY } = security.Action

const policy = (name: string, action: security.Action, rules: Init['rules'], more: Init = {}) =>
  create(security.AuthorizationSchema, { name, namespace: 'shop', action, rules: rules ?? [], ...more })
const matching = (match: MatchInit) => policy('p', DENY, [{ clauses: [{ matches: [match] }] }])

const exact = (value: string) => ({ matchType: { case: 'exact' as const, value } })
const prefix = (value: string) => ({ matchType: { case: 'prefix' as const, value } })
const suffix = (value: string) => ({ matchType: { case: 'suffix' as const, value } })
const presence = { matchType: { case: 'presence' as const, value: {} } }
const network = (text: string) => parseCidr(text)!

const client: SpiffeId = { trustDomain: 'cluster.local', namespace: 'web', serviceAccount: 'front' }
const facts = (more: Partial<ConnectionFacts> = {}): ConnectionFacts => ({
  source: client,
  sourceIp: parseIp('10.0.0.1')!,
  destinationIp: parseIp('10.0.0.2')!,
  destinationPort: 8080,
  ...more,
})
const anonymous = facts({ source: undefined })

describe('structure', () => {
  const yes: MatchInit = { destinationPorts: [8080] }
  const no: MatchInit = { destinationPorts: [1] }
  const empty: MatchInit = {}
  const cases: [string, Init['rules'], boolean][] = [
    ['no rules', [], false],
    ['a rule without clauses', [{ clauses: [] }], true],
    ['a clause without matches', [{ clauses: [{ matches: [] }] }], true],
    ['a clause with only an empty match', [{ clauses: [{ matches: [empty] }] }], false],
    ['an empty match beside one that holds', [{ clauses: [{ matches: [empty, yes] }] }], true],
    ['an empty match beside one that does not', [{ clauses: [{ matches: [empty, no] }] }], false],
    ['an empty clause kills the rule', [{ clauses: [{ matches: [yes] }, { matches: [empty] }] }], false],
    ['clauses are ANDed', [{ clauses: [{ matches: [yes] }, { matches: [no] }] }], false],
    ['matches are ORed', [{ clauses: [{ matches: [no, yes] }] }], true],
    ['rules are ORed', [{ clauses: [{ matches: [no] }] }, { clauses: [{ matches: [yes] }] }], true],
    ['fields are ANDed', [{ clauses: [{ matches: [{ ...yes, namespaces: [exact('other')] }] }] }], false],
    ['values are ORed', [{ clauses: [{ matches: [{ destinationPorts: [1, 8080] }] }] }], true],
    ['only an extension counts as empty', [{ clauses: [{ matches: [{ extensions: [{ name: 'x' }] }] }] }], false],
  ]
  test.each(cases)('%s: %#', (_, rules, expected) => {
    expect(matchesPolicy(policy('p', DENY, rules), facts())).toBe(expected)
  })
})

describe('fields', () => {
  /** [name, match, holds for the client, holds without identity] */
  const cases: [string, MatchInit, boolean, boolean][] = [
    ['principal', { principals: [exact('cluster.local/ns/web/sa/front')] }, true, false],
    ['principal with scheme', { principals: [exact('spiffe://cluster.local/ns/web/sa/front')] }, false, false],
    ['principal prefix', { principals: [prefix('cluster.local/ns/web/')] }, true, false],
    ['principal suffix', { principals: [suffix('/sa/front')] }, true, false],
    ['principal presence', { principals: [presence] }, true, false],
    ['principal empty prefix', { principals: [prefix('')] }, true, false],
    ['not principal', { notPrincipals: [exact('cluster.local/ns/web/sa/front')] }, false, true],
    ['not another principal', { notPrincipals: [exact('x')] }, true, true],
    ['not principal presence', { notPrincipals: [presence] }, false, true],
    ['namespace', { namespaces: [exact('web')] }, true, false],
    ['namespace presence', { namespaces: [presence] }, true, false],
    ['other namespace', { namespaces: [exact('we')] }, false, false],
    ['not namespace', { notNamespaces: [exact('web')] }, false, true],
    ['not another namespace', { notNamespaces: [prefix('x')] }, true, true],
    ['service account', { serviceAccounts: [{ namespace: 'web', serviceAccount: 'front' }] }, true, false],
    ['account of another namespace', { serviceAccounts: [{ namespace: 'x', serviceAccount: 'front' }] }, false, false],
    ['not service account', { notServiceAccounts: [{ namespace: 'web', serviceAccount: 'front' }] }, false, true],
    ['source ip', { sourceIps: [network('10.0.0.0/24')] }, true, true],
    ['other source ip', { sourceIps: [network('10.0.1.0/24')] }, false, false],
    ['source ip of length 0', { sourceIps: [network('0.0.0.0/0')] }, true, true],
    ['source ip of the other family', { sourceIps: [network('::/0')] }, false, false],
    ['not source ip', { notSourceIps: [network('10.0.0.1')] }, false, false],
    ['destination ip', { destinationIps: [network('10.0.0.2')] }, true, true],
    ['not destination ip', { notDestinationIps: [network('10.0.0.0/8')] }, false, false],
    ['port', { destinationPorts: [8080] }, true, true],
    ['not port', { notDestinationPorts: [8080] }, false, false],
    ['not another port', { notDestinationPorts: [80] }, true, true],
    ['strict', { notPrincipals: [presence], destinationPorts: [8080] }, false, true],
  ]
  test.each(cases)('%s', (_, match, withIdentity, without) => {
    expect(matchesPolicy(matching(match), facts())).toBe(withIdentity)
    expect(matchesPolicy(matching(match), anonymous)).toBe(without)
  })

  test('the trust domain counts for principals, not for service accounts', () => {
    const foreign = facts({ source: { ...client, trustDomain: 'other' } })
    expect(matchesPolicy(matching({ principals: [exact('cluster.local/ns/web/sa/front')] }), foreign)).toBe(false)
    const account = { serviceAccounts: [{ namespace: 'web', serviceAccount: 'front' }] }
    expect(matchesPolicy(matching(account), foreign)).toBe(true)
  })

  test('an IPv4 address matches however the socket spells it', () => {
    const mapped = facts({ sourceIp: parseIp('::ffff:10.0.0.1')! })
    expect(matchesPolicy(matching({ sourceIps: [network('10.0.0.1')] }), mapped)).toBe(true)
  })
})

describe('verdict', () => {
  const hit: Init['rules'] = [{ clauses: [] }]
  const miss: Init['rules'] = []
  const cases: [string, ReturnType<typeof policy>[], boolean, string, string | undefined, string[]][] = [
    ['nothing applies', [], true, 'no-policies', undefined, []],
    ['DENY that does not match', [policy('d', DENY, miss)], true, 'no-policies', undefined, []],
    ['DENY', [policy('d', DENY, hit)], false, 'denied-by', 'shop/d', []],
    ['ALLOW', [policy('a', ALLOW, hit)], true, 'allowed-by', 'shop/a', []],
    ['ALLOW that does not match', [policy('a', ALLOW, miss)], false, 'no-allow-matched', undefined, []],
    ['DENY wins over ALLOW', [policy('a', ALLOW, hit), policy('d', DENY, hit)], false, 'denied-by', 'shop/d', []],
    ['one ALLOW is enough', [policy('a', ALLOW, miss), policy('b', ALLOW, hit)], true, 'allowed-by', 'shop/b', []],
    ['dry-run DENY', [policy('d', DENY, hit, { dryRun: true })], true, 'no-policies', undefined, ['shop/d']],
    ['dry-run ALLOW', [policy('a', ALLOW, miss, { dryRun: true })], true, 'no-policies', undefined, []],
    [
      'a dry run cannot allow',
      [policy('a', ALLOW, hit, { dryRun: true }), policy('b', ALLOW, miss)],
      false,
      'no-allow-matched',
      undefined,
      ['shop/a'],
    ],
    ['an unknown action denies', [policy('x', 7 as security.Action, hit)], false, 'denied-by', 'shop/x', []],
  ]
  test.each(cases)('%s', (_, policies, allowed, reason, name, dryRun) => {
    const result = authorize(policies, facts())
    expect({ policy: undefined, ...result }).toEqual({ allowed, reason, policy: name, dryRun })
  })

  test('explains every policy', () => {
    expect(explain([policy('a', ALLOW, miss), policy('d', DENY, hit)], facts())).toEqual([
      { policy: 'shop/a', action: 'allow', dryRun: false, matched: false },
      { policy: 'shop/d', action: 'deny', dryRun: false, matched: true },
    ])
  })
})

describe('validation', () => {
  const bad: [string, ReturnType<typeof policy>][] = [
    ['name', policy('', DENY, [])],
    ['scope', policy('p', DENY, [], { scope: 9 as security.Scope })],
    ['action', policy('p', 9 as security.Action, [])],
    ['string match', matching({ principals: [{}] })],
    ['IP address', matching({ sourceIps: [{ address: new Uint8Array(3), length: 8 }] })],
    ['prefix length', matching({ notDestinationIps: [{ address: new Uint8Array(4), length: 33 }] })],
  ]
  test.each(bad)('names a wrong %s', (word, wrong) => expect(validateAuthorization(wrong)).toContain(word))
  test('accepts what is right', () =>
    expect(validateAuthorization(matching({ principals: [presence] }))).toBeUndefined())
})
