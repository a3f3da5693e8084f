// The built-in kinds that the machine serves: names, scopes and the type that describes each one's structure.

export interface BuiltinKind {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly shortNames?: readonly string[]
  readonly namespaced: boolean
  /** Name in gen/builtin-schemas.json. */
  readonly type: string
  readonly status?: boolean
  readonly scale?: boolean
  /** In `kubectl get all`. */
  readonly all?: boolean
}

const core = { group: '', version: 'v1', namespaced: true }
const apps = { group: 'apps', version: 'v1', namespaced: true, status: true, all: true }
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' }

export const builtinKinds: readonly BuiltinKind[] = [
  {
    ...core,
    kind: 'Namespace',
    plural: 'namespaces',
    shortNames: ['ns'],
    namespaced: false,
    type: 'V1Namespace',
    status: true,
  },
  { ...core, kind: 'Node', plural: 'nodes', shortNames: ['no'], namespaced: false, type: 'V1Node', status: true },
  { ...core, kind: 'Pod', plural: 'pods', shortNames: ['po'], type: 'V1Pod', status: true, all: true },
  { ...core, kind: 'Service', plural: 'services', shortNames: ['svc'], type: 'V1Service', status: true, all: true },
  { ...core, kind: 'Endpoints', plural: 'endpoints', shortNames: ['ep'], type: 'V1Endpoints' },
  { ...core, kind: 'ServiceAccount', plural: 'serviceaccounts', shortNames: ['sa'], type: 'V1ServiceAccount' },
  { ...core, kind: 'Secret', plural: 'secrets', type: 'V1Secret' },
  { ...core, kind: 'ConfigMap', plural: 'configmaps', shortNames: ['cm'], type: 'V1ConfigMap' },
  { ...core, kind: 'Event', plural: 'events', shortNames: ['ev'], type: 'CoreV1Event' },
  {
    group: 'events.k8s.io',
    version: 'v1',
    namespaced: true,
    kind: 'Event',
    plural: 'events',
    shortNames: ['ev'],
    type: 'EventsV1Event',
  },
  { ...apps, kind: 'Deployment', plural: 'deployments', shortNames: ['deploy'], type: 'V1Deployment', scale: true },
  { ...apps, kind: 'ReplicaSet', plural: 'replicasets', shortNames: ['rs'], type: 'V1ReplicaSet', scale: true },
  { ...apps, kind: 'StatefulSet', plural: 'statefulsets', shortNames: ['sts'], type: 'V1StatefulSet', scale: true },
  { ...apps, kind: 'DaemonSet', plural: 'daemonsets', shortNames: ['ds'], type: 'V1DaemonSet' },
  {
    group: 'batch',
    version: 'v1',
    namespaced: true,
    kind: 'Job',
    plural: 'jobs',
    type: 'V1Job',
    status: true,
    all: true,
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    namespaced: true,
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    type: 'V1EndpointSlice',
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    namespaced: true,
    kind: 'Lease',
    plural: 'leases',
    type: 'V1Lease',
  },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    namespaced: false,
    kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions',
    shortNames: ['crd', 'crds'],
    type: 'V1CustomResourceDefinition',
    status: true,
  },
  { ...rbac, namespaced: false, kind: 'ClusterRole', plural: 'clusterroles', type: 'V1ClusterRole' },
  {
    ...rbac,
    namespaced: false,
    kind: 'ClusterRoleBinding',
    plural: 'clusterrolebindings',
    type: 'V1ClusterRoleBinding',
  },
  { ...rbac, namespaced: true, kind: 'Role', plural: 'roles', type: 'V1Role' },
  { ...rbac, namespaced: true, kind: 'RoleBinding', plural: 'rolebindings', type: 'V1RoleBinding' },
]

/** Kinds that can only be posted, never stored. */
export const reviewKinds: readonly BuiltinKind[] = [
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    namespaced: false,
    kind: 'TokenReview',
    plural: 'tokenreviews',
    type: 'V1TokenReview',
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    namespaced: false,
    kind: 'SelfSubjectReview',
    plural: 'selfsubjectreviews',
    type: 'V1SelfSubjectReview',
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    namespaced: false,
    kind: 'SubjectAccessReview',
    plural: 'subjectaccessreviews',
    type: 'V1SubjectAccessReview',
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    namespaced: false,
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    type: 'V1SelfSubjectAccessReview',
  },
]

export const builtinRootTypes: readonly string[] = [
  ...builtinKinds.map((kind) => kind.type),
  ...reviewKinds.map((kind) => kind.type),
  'AuthenticationV1TokenRequest',
  'V1Scale',
  'V1Eviction',
]
