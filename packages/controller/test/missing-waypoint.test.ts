// A Service whose waypoint is missing or does not admit it, and a policy for that waypoint: until somebody can judge by the policy,
// nobody gets past it by the pods' own addresses (ADR 4, departure 2).
import { expect, test } from 'vitest'
import { meshOf } from './snapshot.ts'

const world = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint } }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.1, selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web }, annotations: { ambient.istio.io/redirection: enabled } }
spec: { serviceAccountName: web }
status: { phase: Running, podIP: 10.244.1.1, conditions: [{ type: Ready, status: "True" }] }
---
`

const gateway = (more: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop, generation: 1 }
spec: { gatewayClassName: wishbone-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE${more} }] }
---
`
const closed = ', allowedRoutes: { namespaces: { from: Selector, selector: { matchLabels: { of: nobody } } } }'

const policy = (namespace: string, target: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-deletes, namespace: ${namespace}, generation: 1 }
spec:
  action: DENY
  targetRefs: [${target}]
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
`
const ofGateway = policy('shop', '{ group: gateway.networking.k8s.io, kind: Gateway, name: waypoint }')
const ofClass = (name: string) =>
  policy('wishbone-system', `{ group: gateway.networking.k8s.io, kind: GatewayClass, name: ${name} }`)

function policiesOfPod(objects: string): readonly string[] {
  const mesh = meshOf(world + objects)
  return mesh.workloads.get('Kubernetes//Pod/shop/web-1')!.authorizationPolicies
}

const only = ['shop/wishbone_only_waypoint_web']

test.each([
  ['of the Gateway, which is there', gateway('') + ofGateway],
  ['of the Gateway, which is not there', ofGateway],
  ['of the Gateway, which does not admit the namespace', gateway(closed) + ofGateway],
  ['of the class, of which there is no Gateway', ofClass('wishbone-waypoint')],
  ['of the class, whose Gateway does not admit the namespace', gateway(closed) + ofClass('wishbone-waypoint')],
])('a policy %s', (_, objects) => {
  expect(policiesOfPod(objects)).toEqual(only)
})

test.each([
  ['a policy of a class that has no waypoints', ofClass('wishbone')],
  ['no policy', gateway(closed)],
])('%s guards nothing', (_, objects) => {
  expect(policiesOfPod(objects)).toEqual([])
})
