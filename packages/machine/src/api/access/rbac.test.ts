import { expect, test } from 'vitest'
import { Api } from '../objects/api.ts'
import { type Attempt, allows, createDefaultRoles, refusal, type User } from './rbac.ts'

const group = 'rbac.authorization.k8s.io'
const account: User = {
  username: 'system:serviceaccount:n:sa',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:n', 'system:authenticated'],
}

function world(): Api {
  const api = new Api()
  for (const name of ['n', 'other']) api.create(api.resource('/namespaces'), undefined, { metadata: { name } })
  createDefaultRoles(api)
  const role = (kind: 'clusterroles' | 'roles', name: string, rules: object[]): void =>
    void api.create(api.resource(`${group}/${kind}`), kind === 'roles' ? 'n' : undefined, { metadata: { name }, rules })
  role('roles', 'pods', [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }])
  role('roles', 'one', [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['mine'], verbs: ['get'] }])
  role('clusterroles', 'apps', [{ apiGroups: ['apps'], resources: ['*'], verbs: ['*'] }])
  role('clusterroles', 'status', [{ apiGroups: ['*'], resources: ['*/status'], verbs: ['patch'] }])
  const bind = (kind: 'clusterrolebindings' | 'rolebindings', name: string, roleKind: string): void =>
    void api.create(api.resource(`${group}/${kind}`), kind === 'rolebindings' ? 'n' : undefined, {
      metadata: { name },
      roleRef: { apiGroup: group, kind: roleKind, name },
      subjects: [{ kind: 'ServiceAccount', name: 'sa', namespace: 'n' }],
    })
  bind('rolebindings', 'pods', 'Role')
  bind('rolebindings', 'one', 'Role')
  bind('rolebindings', 'apps', 'ClusterRole')
  bind('clusterrolebindings', 'status', 'ClusterRole')
  return api
}

const resource = (verb: string, text: string, namespace?: string, name?: string): Attempt => {
  const [plural = '', apiGroup = ''] = text.split('@')
  return { kind: 'resource', verb, group: apiGroup, resource: plural, namespace, name }
}

test.each<[boolean, Attempt]>([
  [true, resource('get', 'pods', 'n', 'a')],
  [false, resource('watch', 'pods', 'n')],
  [false, resource('get', 'pods', 'other', 'a')],
  [false, resource('list', 'pods')],
  [false, resource('get', 'pods/log', 'n', 'a')],
  [true, resource('delete', 'deployments@apps', 'n', 'a')],
  [false, resource('delete', 'deployments@apps', 'other', 'a')],
  [true, resource('get', 'secrets', 'n', 'mine')],
  [false, resource('get', 'secrets', 'n', 'yours')],
  [false, resource('list', 'secrets', 'n')],
  [true, resource('patch', 'gateways/status@gateway.networking.k8s.io', 'other', 'g')],
  [false, resource('patch', 'gateways@gateway.networking.k8s.io', 'other', 'g')],
  [true, resource('create', 'selfsubjectaccessreviews@authorization.k8s.io')],
  [true, { kind: 'path', verb: 'get', path: '/openapi/v3/api/v1' }],
  [false, { kind: 'path', verb: 'get', path: '/metrics' }],
])('%s: %j', (expected, attempt) => {
  expect(allows(world(), account, attempt)).toBe(expected)
})

test('masters may everything, strangers nothing', () => {
  const api = world()
  expect(allows(api, { username: 'x', groups: ['system:masters'] }, resource('delete', 'nodes'))).toBe(true)
  expect(
    allows(api, { username: 'system:serviceaccount:other:sa', groups: [] }, resource('get', 'pods', 'n', 'a')),
  ).toBe(false)
})

test('a refusal names user, verb, kind and place', () => {
  expect(refusal(account, resource('list', 'deployments@apps', 'other'))).toBe(
    'deployments.apps is forbidden: User "system:serviceaccount:n:sa" cannot list resource "deployments" in API group "apps" in the namespace "other"',
  )
})
