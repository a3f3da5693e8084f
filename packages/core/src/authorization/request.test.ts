import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7, security } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { parseCidr, parseIp } from '../ip/index.ts'
import { type ConnectionFacts, matchesRequestPolicy, type RequestFacts, validateRequestPolicy } from './index.ts'
import { pathReadings } from './paths.ts'

type MatchInit = MessageInitShape<typeof l7.PolicyMatchSchema>
const exact = (value: string) => ({ matchType: { case: 'exact' as const, value } })
const prefix = (value: string) => ({ matchType: { case: 'prefix' as const, value } })
const suffix = (value: string) => ({ matchType: { case: 'suffix' as const, value } })
const presence = { matchType: { case: 'presence' as const, value: {} } }
const { ALLOW, DENY } = security.Action

const connection: ConnectionFacts = {
  source: { trustDomain: 'cluster.local', namespace: 'web', serviceAccount: 'front' },
  sourceIp: parseIp('10.0.0.1')!,
  destinationIp: parseIp('10.0.0.2')!,
  destinationPort: 8080,
}
const headers: Readonly<Record<string, string>> = { 'x-user': 'ann', 'x-empty': '' }
const request: RequestFacts = {
  method: 'GET',
  path: '/info/7',
  authority: 'Shop.example:8080',
  header: (name) => headers[name],
}
const policy = (action: security.Action, ...clauses: MatchInit[][]) =>
  create(l7.RequestPolicySchema, {
    name: 'shop/p',
    action,
    rules: [{ clauses: clauses.map((matches) => ({ matches })) }],
  })

describe('fields', () => {
  const cases: [string, MatchInit, boolean][] = [
    ['method', { methods: [exact('GET')] }, true],
    ['another method', { methods: [exact('POST')] }, false],
    ['method in another case', { methods: [exact('get')] }, false],
    ['not method', { notMethods: [exact('GET')] }, false],
    ['path prefix', { paths: [prefix('/info/')] }, true],
    ['path suffix', { paths: [suffix('/7')] }, true],
    ['not path', { notPaths: [prefix('/admin')] }, true],
    ['host without port', { hosts: [exact('shop.example')] }, true],
    ['host with port', { hosts: [exact('shop.example:8080')] }, true],
    ['host with another port', { hosts: [exact('shop.example:80')] }, false],
    ['host suffix', { hosts: [suffix('.example')] }, true],
    ['not host', { notHosts: [exact('shop.example')] }, false],
    ['header', { headers: [{ name: 'x-user', values: [exact('ann'), exact('bob')] }] }, true],
    ['absent header', { headers: [{ name: 'x-none', values: [presence] }] }, false],
    ['absent header, not wanted', { headers: [{ name: 'x-none', notValues: [presence] }] }, true],
    // HTTP/1 says them in Host and in its first line, HTTP/2 in :authority and :method: a policy must not depend on it.
    ['host as a header', { headers: [{ name: 'host', values: [exact('Shop.example:8080')] }] }, true],
    ['host as a header, in lower case', { headers: [{ name: 'host', values: [prefix('shop.')] }] }, true],
    ['host as a header, not wanted', { headers: [{ name: 'host', notValues: [presence] }] }, false],
    ['another host as a header', { headers: [{ name: 'host', values: [exact('other')] }] }, false],
    ['authority as a header', { headers: [{ name: ':authority', values: [suffix('.example:8080')] }] }, true],
    ['method as a header', { headers: [{ name: ':method', values: [exact('GET')] }] }, true],
    ['empty header is not present', { headers: [{ name: 'x-empty', values: [presence] }] }, false],
    [
      'two headers are ANDed',
      {
        headers: [
          { name: 'x-user', values: [exact('ann')] },
          { name: 'b', values: [presence] },
        ],
      },
      false,
    ],
    ['trust domain', { trustDomains: [exact('cluster.local')] }, true],
    ['remote ip', { remoteIps: [parseCidr('10.0.0.0/8')!] }, true],
    ['not remote ip', { notRemoteIps: [parseCidr('10.0.0.0/8')!] }, false],
    ['connection and request', { connection: { namespaces: [exact('web')] }, methods: [exact('GET')] }, true],
    ['connection alone', { connection: { namespaces: [exact('other')] }, methods: [exact('GET')] }, false],
    ['nothing at all', {}, false],
  ]
  test.each(cases)('%s', (_, match, expected) => {
    expect(matchesRequestPolicy(policy(DENY, [match]), connection, request)).toBe(expected)
  })
})

test('rules without clauses match everything, policies without rules nothing; clauses are ANDed', () => {
  expect(matchesRequestPolicy(policy(DENY), connection, request)).toBe(true)
  const none = create(l7.RequestPolicySchema, { name: 'shop/p', action: DENY })
  expect(matchesRequestPolicy(none, connection, request)).toBe(false)
  const both = policy(DENY, [{ methods: [exact('GET')] }], [{ connection: { namespaces: [exact('other')] } }])
  expect(matchesRequestPolicy(both, connection, request)).toBe(false)
})

describe('spellings of a path', () => {
  const spellings = [
    '/admin/x',
    '//admin/x',
    '/a/../admin/x',
    '/%61dmin/x',
    '/admin;v=1/x',
    '/a/%2e%2e/admin/x',
    '/a\\..\\admin/x',
    // A server that does less than all stays in the folder.
    '/%61dmin/..;/foo',
    '/%61dmin/x%5c..%5c..%5cfoo',
    '/%61dmin//../foo',
    '/%61dmin/%2e%2e/foo',
    '/x/%2e%2e/admin/..;/foo',
    '/%61dmin%2fx/..%3b/..%3b/',
  ]
  test.each(spellings)('%s is denied as /admin is, and allowed only where both readings are', (path) => {
    const at = { ...request, path }
    expect(matchesRequestPolicy(policy(DENY, [{ paths: [prefix('/admin/')] }]), connection, at)).toBe(true)
    expect(matchesRequestPolicy(policy(ALLOW, [{ notPaths: [prefix('/admin/')] }]), connection, at)).toBe(false)
    const written = policy(ALLOW, [{ paths: [exact(path)] }])
    expect(matchesRequestPolicy(written, connection, at)).toBe(path === '/admin/x')
  })
  const readings: [string, readonly string[]][] = [
    ['/a/b', ['/a/b']],
    ['/a/./b/', ['/a/./b/', '/a/b/']],
    ['/..', ['/..', '/']],
    ['/a%2Fb', ['/a%2Fb', '/a/b']],
    ['/%zz', ['/%zz']],
    ['/%ff', ['/%ff', '/ÿ']],
    ['/a%252e', ['/a%252e', '/a%2e']],
  ]
  test.each(readings)('%s', (path, expected) => {
    expect(pathReadings(path)).toEqual(expected)
  })
  test('an allowed folder cannot be stepped out of', () => {
    const at = { ...request, path: '/public/../admin/..;/public/x' }
    expect(matchesRequestPolicy(policy(ALLOW, [{ paths: [prefix('/public/')] }]), connection, at)).toBe(false)
  })
  test('the longest path is read in few ways', () => {
    const path = '/a;b%2f..//%5c.\\..;x%3by/./%2e%2e'.repeat(250).slice(0, 8_000)
    expect(pathReadings(path).length).toBeLessThan(129)
  })
})

test('what is not understood is refused', () => {
  const sound = policy(ALLOW, [{ methods: [exact('GET')] }])
  expect(validateRequestPolicy(sound)).toBeUndefined()
  expect(validateRequestPolicy(policy(ALLOW, [{}]))).toBe('a match of an unknown kind')
  expect(validateRequestPolicy(policy(ALLOW, [{ methods: [{}] }]))).toBe('a match of an unknown kind')
  expect(validateRequestPolicy({ ...sound, action: 7 as security.Action })).toBe('unknown action 7')
})
