// AuthorizationPolicies that no validating webhook has looked at: what says nothing, or nothing that is understood, must not open.
import { matchesPolicy, matchesRequestPolicy, type RequestFacts } from '@wishbone/core/authorization'
import { parseSpiffe } from '@wishbone/core/identity'
import { parseIp } from '@wishbone/core/ip'
import { security } from '@wishbone/proto'
import { expect, test } from 'vitest'
import type { AuthorizationPolicy } from '../src/kinds/index.ts'
import { convertAuthorizationPolicy } from '../src/translate/policies/authorization.ts'
import { requestPolicy } from '../src/translate/policies/requests.ts'

const connection = {
  source: parseSpiffe('spiffe://cluster.local/ns/shop/sa/web'),
  sourceIp: parseIp('10.0.0.1')!,
  destinationIp: parseIp('10.0.0.2')!,
  destinationPort: 80,
}
const request: RequestFacts = { method: 'GET', path: '/', authority: 'web', header: () => undefined }
const header = { key: 'request.headers[x-token]' }
const get = { to: [{ operation: { methods: ['GET'] } }] }

/** Whether the policy matches a connection, and a request over it. */
function matches(action: 'ALLOW' | 'DENY', rule: object): { readonly connection: boolean; readonly request: boolean } {
  const policy = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'odd', namespace: 'shop' },
    spec: { action, rules: [rule] },
  } as unknown as AuthorizationPolicy
  const authorization = convertAuthorizationPolicy(policy, security.Scope.NAMESPACE)!
  const requests = requestPolicy(policy)
  expect(authorization.notes).not.toEqual([])
  const layer4 = matchesPolicy(authorization.message, connection)
  return {
    connection: layer4,
    request: requests.message ? matchesRequestPolicy(requests.message, connection, request) : layer4,
  }
}

test.each<[string, object]>([
  ['an empty list of sources', { from: [] }],
  ['an empty list of operations', { to: [] }],
  ['an empty list of sources beside an operation', { from: [], ...get }],
  ['a field of the rule of a later release', { ...get, unless: [{}] }],
  [
    'a field of a source of a later release',
    { from: [{ source: { namespaces: ['shop'], clusters: ['east'] } }], ...get },
  ],
  ['a field beside a source', { from: [{ source: { namespaces: ['shop'] }, between: ['8:00'] }] }],
  ['a field of an operation of a later release', { to: [{ operation: { methods: ['GET'], versions: ['2'] } }] }],
  ['a field of a condition of a later release', { when: [{ key: 'source.namespace', values: ['shop'], ifOf: 'x' }] }],
  ['an empty text that nothing is', { from: [{ source: { notNamespaces: [''] } }] }],
  ['an empty text among conditions', { when: [{ key: 'source.principal', notValues: [''] }] }],
  ['a service account that is a pattern', { from: [{ source: { notServiceAccounts: ['other/*'] } }] }],
  ['a pseudo-header that HTTP/1 has not', { when: [{ key: 'request.headers[:path]', notValues: ['/admin'] }] }],
  ['a service account with too many names', { from: [{ source: { notServiceAccounts: ['a/b/c'] } }] }],
])('%s: an ALLOW rule allows nothing', (_, rule) => {
  expect(matches('ALLOW', rule)).toEqual({ connection: false, request: false })
})

test.each<[string, object]>([
  ['no values at all', { when: [header] }],
  ['empty lists of values', { when: [{ ...header, values: [], notValues: [] }] }],
])('a condition on a header with %s: an ALLOW rule allows nothing', (_, rule) => {
  expect(matches('ALLOW', rule).request).toBe(false)
})

test.each<[string, object]>([
  ['an empty text', { from: [{ source: { namespaces: [''] } }] }],
  ['a service account that is a pattern', { from: [{ source: { serviceAccounts: ['shop/*'] } }] }],
  ['an empty list of sources', { from: [] }],
  ['a path that is an empty text', { to: [{ operation: { paths: [''] } }] }],
])('%s: a DENY rule denies more than written, not nothing', (_, rule) => {
  expect(matches('DENY', rule)).toEqual({ connection: true, request: true })
})

test.each<[string, object]>([
  ['a path between two stars', { to: [{ operation: { paths: ['*admin*'] } }] }],
  ['a header between two stars', { when: [{ ...header, values: ['*bot*'] }] }],
  ['a namespace between two stars', { from: [{ source: { namespaces: ['*dev*'] } }] }],
])('%s is no pattern that there is: a DENY rule denies more than written, not nothing', (_, rule) => {
  expect(matches('DENY', rule)).toEqual({ connection: true, request: true })
})

test.each<[string, object]>([
  ['a list of sources that is null', { from: null }],
  ['a list of operations that is null', { to: null }],
])('%s: an ALLOW rule allows nothing', (_, rule) => {
  expect(matches('ALLOW', rule)).toEqual({ connection: false, request: false })
})

test.each(['*', '/*', '*/', '/a*b'])('the path %s is a pattern as ever', (path) => {
  const rules = [{ to: [{ operation: { paths: [path] } }] }]
  const spec = { action: 'DENY' as const, rules }
  const metadata = { name: 'odd', namespace: 'shop' }
  const policy = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata, spec }
  expect(requestPolicy(policy as unknown as AuthorizationPolicy).notes).toEqual([])
})

test('an action of a later release denies what its rules select, and says so', () => {
  const metadata = { name: 'odd', namespace: 'shop' }
  const spec = { action: 'LIMIT', rules: [get] }
  const policy = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata, spec } as unknown
  const { message, notes } = requestPolicy(policy as AuthorizationPolicy)
  expect(message?.action).toBe(security.Action.DENY)
  expect(notes).toEqual(['action LIMIT is not supported: what its rules select is denied'])
  expect(convertAuthorizationPolicy(policy as AuthorizationPolicy, security.Scope.NAMESPACE)?.notes).toContain(notes[0])
})
