import { fromBinary } from '@bufbuild/protobuf'
import { typeUrls, workload } from '@wishbone/proto'
import { expect, test } from 'vitest'
import { classes, objectsOf, snapshotOf } from '../../test/snapshot.ts'
import { defaultSettings } from '../model/index.ts'
import { translate } from '../translate/index.ts'
import { encode, view } from './index.ts'

const objects = objectsOf(`
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: one } }
spec: { clusterIP: 10.96.0.1, selector: { app: cart }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: mail, namespace: shop }
spec: { clusterIP: 10.96.0.2, selector: { app: mail }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: cart-1, namespace: shop, labels: { app: cart } }
spec: { nodeName: n1 }
status: { phase: Running, podIPs: [{ ip: 10.244.1.1 }, { ip: "fd00::1" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: host, namespace: shop }
spec: { nodeName: n1, hostNetwork: true }
status: { phase: Running, podIP: 172.30.1.2 }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: one, namespace: shop }
spec: { gatewayClassName: wishbone-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: two, namespace: shop }
spec: { gatewayClassName: wishbone-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow, namespace: shop }
spec: { rules: [{ from: [{ source: { namespaces: [a] } }] }] }
`)

const resources = encode(translate(snapshotOf([...classes, ...objects]), defaultSettings).mesh)
const names = (client: Parameters<typeof view>[1], type: (typeof typeUrls)[keyof typeof typeUrls]) =>
  [...(view(resources, client).get(type)?.keys() ?? [])].sort()

test('names and aliases are those that ztunnels ask for', () => {
  const addresses = resources.ztunnel.get(typeUrls.address)!
  expect(addresses.get('Kubernetes//Pod/shop/cart-1')?.aliases).toEqual(['/10.244.1.1', '/fd00::1'])
  expect(addresses.get('shop/cart.shop.svc.cluster.local')?.aliases).toEqual(['/10.96.0.1'])
  expect(addresses.get('Kubernetes//Pod/shop/host')?.aliases).toEqual([])
  const decoded = fromBinary(workload.AddressSchema, addresses.get('Kubernetes//Pod/shop/cart-1')!.bytes)
  expect(decoded.type.case).toBe('workload')
})

test('a ztunnel sees every address and policy, and nothing of layer 7', () => {
  expect(names({ kind: 'ztunnel' }, typeUrls.address)).toHaveLength(4)
  expect(names({ kind: 'ztunnel' }, typeUrls.authorization)).toContain('shop/allow')
  expect(names({ kind: 'ztunnel' }, typeUrls.listener)).toEqual([])
})

test('a waypoint sees only what is bound to it', () => {
  const one = { kind: 'gateway', namespace: 'shop', name: 'one' } as const
  expect(names(one, typeUrls.address)).toEqual(['Kubernetes//Pod/shop/cart-1', 'shop/cart.shop.svc.cluster.local'])
  expect(names(one, typeUrls.listener)).toEqual(['service/shop/cart.shop.svc.cluster.local/80'])
  expect(names(one, typeUrls.authorization)).toEqual(['shop/allow'])
  const two = { kind: 'gateway', namespace: 'shop', name: 'two' } as const
  for (const type of Object.values(typeUrls)) expect(names(two, type)).toEqual([])
  const absent = { kind: 'gateway', namespace: 'shop', name: 'absent' } as const
  for (const type of Object.values(typeUrls)) expect(names(absent, type)).toEqual([])
})

test('ztunnels and waypoints get different copies of a policy', () => {
  const ofZtunnel = resources.ztunnel.get(typeUrls.authorization)?.get('shop/allow')
  const ofWaypoint = resources.gateway.get(typeUrls.authorization)?.get('shop/allow')
  expect(ofZtunnel?.version).not.toBe(ofWaypoint?.version)
})
