// Snapshots from YAML, for tests.
import { parseAllDocuments } from 'yaml'
import type { KubeObject } from '../src/kinds/index.ts'
import { defaultSettings, emptySnapshot, type Mesh, type Snapshot } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'

const lists: Readonly<Record<string, keyof Omit<Snapshot, 'nowUnixMs'>>> = {
  GatewayClass: 'gatewayClasses',
  Gateway: 'gateways',
  HTTPRoute: 'httpRoutes',
  GRPCRoute: 'grpcRoutes',
  TCPRoute: 'tcpRoutes',
  TLSRoute: 'tlsRoutes',
  UDPRoute: 'udpRoutes',
  ListenerSet: 'listenerSets',
  BackendTLSPolicy: 'backendTlsPolicies',
  ReferenceGrant: 'referenceGrants',
  Service: 'services',
  EndpointSlice: 'endpointSlices',
  Pod: 'pods',
  Namespace: 'namespaces',
  ServiceAccount: 'serviceAccounts',
  Node: 'nodes',
  Secret: 'secrets',
  ConfigMap: 'configMaps',
  AuthorizationPolicy: 'authorizationPolicies',
  PeerAuthentication: 'peerAuthentications',
  RequestAuthentication: 'requestAuthentications',
  FaultInjection: 'faultInjections',
  Deployment: 'deployments',
}

/** Objects of one YAML text; empty documents are left out. */
export function objectsOf(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0]
    const value = document.toJS() as KubeObject | null
    return value ? [value] : []
  })
}

/** Throws on a kind that no translation reads. */
export function snapshotOf(objects: readonly KubeObject[], nowUnixMs = 0): Snapshot {
  const found: Record<string, KubeObject[]> = {}
  for (const object of objects) {
    const list = lists[object.kind]
    if (!list) throw new Error(`kind ${object.kind} is no part of a snapshot`)
    found[list] = [...(found[list] ?? []), object]
  }
  return { ...emptySnapshot, ...(found as unknown as Partial<Snapshot>), nowUnixMs }
}

/** The GatewayClasses that an installation brings. */
export const classes: readonly KubeObject[] = objectsOf(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: wishbone, generation: 1 }
spec: { controllerName: wishbone.dev/gateway-controller }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: wishbone-waypoint, generation: 1 }
spec: { controllerName: wishbone.dev/mesh-controller }
`)

/** What an installation with these objects gives to proxies. */
export function meshOf(yaml: string): Mesh {
  return translate(snapshotOf([...classes, ...objectsOf(yaml)]), defaultSettings).mesh
}

/** A namespace of the mesh all of whose Services are behind its waypoint. */
export function waypointNamespace(name: string): string {
  return `
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: { istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: ${name}, generation: 1 }
spec: { gatewayClassName: wishbone-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
`
}

/** A gateway with a route to port 443 of Service shop/web, which a BackendTLSPolicy protects: `policy` are the fields of its spec. */
export function protectedBackend(policy: string): string {
  return `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.2, selector: { app: web }, ports: [{ name: https, port: 443 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: web, namespace: shop, generation: 1 }
spec:
${policy}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: 1 }
spec: { gatewayClassName: wishbone, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop, generation: 1 }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: web, port: 443 }] }] }
`
}
