// Who may do what: roles and bindings, evaluated at each request, and the roles that every cluster has.
import type { Api } from '../objects/api.ts'
import type { JsonMap, KubeObject } from '../objects/object.ts'
import { selectsLabels } from '../objects/selectors.ts'

const group = 'rbac.authorization.k8s.io'

export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export type Attempt =
  | {
      readonly kind: 'resource'
      readonly verb: string
      readonly group: string
      /** `pods` or `pods/log`. */
      readonly resource: string
      readonly namespace?: string | undefined
      readonly name?: string | undefined
    }
  | { readonly kind: 'path'; readonly verb: string; readonly path: string }

interface Rule {
  readonly verbs: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
}

interface Role extends KubeObject {
  readonly rules?: readonly Rule[]
  readonly aggregationRule?: { readonly clusterRoleSelectors?: readonly JsonMap[] }
}

interface Binding extends KubeObject {
  readonly roleRef: { readonly kind: string; readonly name: string }
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[]
}

/** Whether a user may; `system:masters` may everything. */
export function allows(api: Api, user: User, attempt: Attempt): boolean {
  if (user.groups.includes('system:masters')) return true
  for (const binding of api.list<Binding>(`${group}/clusterrolebindings`)) {
    if (binds(binding, user) && rulesOf(api, binding).some((rule) => covers(rule, attempt))) return true
  }
  if (attempt.kind !== 'resource' || attempt.namespace === undefined) return false
  for (const binding of api.list<Binding>(`${group}/rolebindings`, attempt.namespace)) {
    if (binds(binding, user) && rulesOf(api, binding).some((rule) => covers(rule, attempt))) return true
  }
  return false
}

function binds(binding: Binding, user: User): boolean {
  return (binding.subjects ?? []).some((subject) => {
    switch (subject.kind) {
      case 'User':
        return subject.name === user.username
      case 'Group':
        return user.groups.includes(subject.name)
      case 'ServiceAccount':
        return (
          user.username === `system:serviceaccount:${subject.namespace ?? binding.metadata.namespace}:${subject.name}`
        )
      default:
        return false
    }
  })
}

function rulesOf(api: Api, binding: Binding): readonly Rule[] {
  const { kind, name } = binding.roleRef
  const role =
    kind === 'ClusterRole'
      ? api.find<Role>(`${group}/clusterroles`, undefined, name)
      : api.find<Role>(`${group}/roles`, binding.metadata.namespace, name)
  const selectors = role?.aggregationRule?.clusterRoleSelectors
  if (selectors === undefined) return role?.rules ?? []
  return api
    .list<Role>(`${group}/clusterroles`)
    .filter((other) => selectors.some((selector) => selectsLabels(selector, other.metadata.labels)))
    .flatMap((other) => other.rules ?? [])
}

function covers(rule: Rule, attempt: Attempt): boolean {
  if (!rule.verbs.includes('*') && !rule.verbs.includes(attempt.verb)) return false
  if (attempt.kind === 'path') {
    return (rule.nonResourceURLs ?? []).some(
      (pattern) => pattern === attempt.path || (pattern.endsWith('*') && attempt.path.startsWith(pattern.slice(0, -1))),
    )
  }
  if (!includes(rule.apiGroups, attempt.group)) return false
  const subresource = attempt.resource.split('/')[1]
  const named =
    includes(rule.resources, attempt.resource) ||
    (subresource !== undefined && (rule.resources ?? []).includes(`*/${subresource}`))
  if (!named) return false
  const names = rule.resourceNames ?? []
  return names.length === 0 || (attempt.name !== undefined && names.includes(attempt.name))
}

function includes(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(value))
}

/** `User "x" cannot list resource "pods" in API group "" in the namespace "a"`, as Kubernetes words it. */
export function refusal(user: User, attempt: Attempt): string {
  if (attempt.kind === 'path') return `forbidden: User "${user.username}" cannot ${attempt.verb} path "${attempt.path}"`
  const scope = attempt.namespace === undefined ? 'at the cluster scope' : `in the namespace "${attempt.namespace}"`
  const name = attempt.name === undefined ? '' : ` "${attempt.name}"`
  const full =
    attempt.group === '' ? attempt.resource.split('/')[0] : `${attempt.resource.split('/')[0]}.${attempt.group}`
  return `${full}${name} is forbidden: User "${user.username}" cannot ${attempt.verb} resource "${attempt.resource}" in API group "${attempt.group}" ${scope}`
}

const readVerbs = ['get', 'list', 'watch']
const writeVerbs = ['create', 'update', 'patch', 'delete', 'deletecollection']
const everything = ['*']

const defaultRoles: Readonly<Record<string, readonly Rule[]>> = {
  'cluster-admin': [
    { verbs: everything, apiGroups: everything, resources: everything },
    { verbs: everything, nonResourceURLs: everything },
  ],
  admin: [{ verbs: [...readVerbs, ...writeVerbs], apiGroups: everything, resources: everything }],
  edit: [
    {
      verbs: [...readVerbs, ...writeVerbs],
      apiGroups: [
        '',
        'apps',
        'batch',
        'discovery.k8s.io',
        'gateway.networking.k8s.io',
        'security.istio.io',
        'wishbone.dev',
      ],
      resources: everything,
    },
  ],
  view: [
    {
      verbs: readVerbs,
      apiGroups: [''],
      resources: [
        'configmaps',
        'endpoints',
        'events',
        'namespaces',
        'pods',
        'pods/log',
        'pods/status',
        'serviceaccounts',
        'services',
        'services/status',
      ],
    },
    {
      verbs: readVerbs,
      apiGroups: [
        'apps',
        'batch',
        'discovery.k8s.io',
        'gateway.networking.k8s.io',
        'security.istio.io',
        'wishbone.dev',
      ],
      resources: everything,
    },
  ],
  'system:auth-delegator': [
    { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'] },
    { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'] },
  ],
  'system:basic-user': [
    {
      verbs: ['create'],
      apiGroups: ['authorization.k8s.io'],
      resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
    },
    { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
  ],
  'system:discovery': [
    {
      verbs: ['get'],
      nonResourceURLs: [
        '/api',
        '/api/*',
        '/apis',
        '/apis/*',
        '/healthz',
        '/livez',
        '/openapi',
        '/openapi/*',
        '/readyz',
        '/version',
        '/version/',
      ],
    },
  ],
  'system:public-info-viewer': [
    { verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'] },
  ],
  'system:service-account-issuer-discovery': [
    {
      verbs: ['get'],
      nonResourceURLs: [
        '/.well-known/openid-configuration',
        '/.well-known/openid-configuration/',
        '/openid/v1/jwks',
        '/openid/v1/jwks/',
      ],
    },
  ],
}

const defaultBindings: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['system:masters'],
  'system:basic-user': ['system:authenticated'],
  'system:discovery': ['system:authenticated'],
  'system:public-info-viewer': ['system:authenticated', 'system:unauthenticated'],
  'system:service-account-issuer-discovery': ['system:serviceaccounts'],
}

/** Creates the roles and bindings that clients expect in every cluster. */
export function createDefaultRoles(api: Api): void {
  const labels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' }
  for (const [name, rules] of Object.entries(defaultRoles))
    api.create(api.resource(`${group}/clusterroles`), undefined, { metadata: { name, labels }, rules })
  for (const [name, groups] of Object.entries(defaultBindings))
    api.create(api.resource(`${group}/clusterrolebindings`), undefined, {
      metadata: { name, labels },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: groups.map((subject) => ({ apiGroup: group, kind: 'Group', name: subject })),
    })
}
