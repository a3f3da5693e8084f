// The kinds that the controller reads or writes: their REST paths, and which objects of them it wants to see.

import type { ResourceKind, WatchedKind } from '@wishbone/runtime/kube'

const core = (kind: string, plural: string, namespaced = true): ResourceKind => ({
  apiVersion: 'v1',
  kind,
  plural,
  namespaced,
})
const of = (apiVersion: string, kind: string, plural: string, namespaced = true): ResourceKind => ({
  apiVersion,
  kind,
  plural,
  namespaced,
})
const gatewayLabel = 'gateway.networking.k8s.io/gateway-name'
const gatewayApi = 'gateway.networking.k8s.io/v1'

/** The kinds of the store, by the snapshot's member that they fill. */
export const watchedKinds = {
  gatewayClasses: of(gatewayApi, 'GatewayClass', 'gatewayclasses', false),
  gateways: of(gatewayApi, 'Gateway', 'gateways'),
  httpRoutes: of(gatewayApi, 'HTTPRoute', 'httproutes'),
  grpcRoutes: of(gatewayApi, 'GRPCRoute', 'grpcroutes'),
  tcpRoutes: of(gatewayApi, 'TCPRoute', 'tcproutes'),
  tlsRoutes: of(gatewayApi, 'TLSRoute', 'tlsroutes'),
  udpRoutes: of(gatewayApi, 'UDPRoute', 'udproutes'),
  listenerSets: of(gatewayApi, 'ListenerSet', 'listenersets'),
  backendTlsPolicies: of(gatewayApi, 'BackendTLSPolicy', 'backendtlspolicies'),
  referenceGrants: of(gatewayApi, 'ReferenceGrant', 'referencegrants'),
  services: core('Service', 'services'),
  endpointSlices: of('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  pods: core('Pod', 'pods'),
  namespaces: core('Namespace', 'namespaces', false),
  serviceAccounts: core('ServiceAccount', 'serviceaccounts'),
  nodes: core('Node', 'nodes', false),
  // Other Secrets are nobody's business here: the CA's is read by name.
  secrets: { ...core('Secret', 'secrets'), fieldSelector: 'type=kubernetes.io/tls' },
  // They may be big, and only some of their keys are read.
  configMaps: { ...core('ConfigMap', 'configmaps'), pageSize: 50 },
  authorizationPolicies: of('security.istio.io/v1', 'AuthorizationPolicy', 'authorizationpolicies'),
  requestAuthentications: of('security.istio.io/v1', 'RequestAuthentication', 'requestauthentications'),
  peerAuthentications: of('security.istio.io/v1', 'PeerAuthentication', 'peerauthentications'),
  faultInjections: of('wishbone.dev/v1alpha1', 'FaultInjection', 'faultinjections'),
  // Only those that stand for Gateways.
  deployments: {
    ...of('apps/v1', 'Deployment', 'deployments'),
    labelSelector: gatewayLabel,
  },
  // Made only where a Gateway's parameters ask for them.
  horizontalPodAutoscalers: {
    ...of('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
    labelSelector: gatewayLabel,
    dispensable: true,
  },
  podDisruptionBudgets: {
    ...of('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
    labelSelector: gatewayLabel,
    dispensable: true,
  },
} as const satisfies Record<string, WatchedKind>

export type WatchedName = keyof typeof watchedKinds

const byKind = new Map<string, ResourceKind>(
  Object.values(watchedKinds).map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]),
)
const nameByKind = new Map<string, WatchedName>(
  (Object.keys(watchedKinds) as WatchedName[]).map((name) => {
    const kind = watchedKinds[name]
    return [`${kind.apiVersion}/${kind.kind}`, name]
  }),
)

/** The kind of an object that the controller may write; undefined for one that it does not know. */
export function kindOf(apiVersion: string, kind: string): ResourceKind | undefined {
  return byKind.get(`${apiVersion}/${kind}`)
}

/** The store's name of a kind, if the store watches it. */
export function watchedNameOf(apiVersion: string, kind: string): WatchedName | undefined {
  return nameByKind.get(`${apiVersion}/${kind}`)
}
