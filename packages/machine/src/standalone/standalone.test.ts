import { expect, test } from 'vitest'
import type { Workload } from '../types.ts'
import { publicAddress } from './addresses.ts'
import { isNeeded } from './control-plane.ts'
import { freePorts } from './ports.ts'
import { gatewayOf } from './proxies.ts'
import { remarkOn } from './remarks.ts'

const object = (kind: string, name: string, spec: unknown = {}) => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'shop' },
  spec,
})

test.each([
  ['a program of its own', object('Deployment', 'app'), /nothing runs a Deployment here/],
  ['a Service that chooses pods', object('Service', 'app', { selector: { app: 'a' } }), /no pods run here/],
  ['a waypoint', object('Gateway', 'w', { gatewayClassName: 'istio-waypoint' }), /no mesh here/],
])('remarks: %s', (_what, one, text) => {
  expect(remarkOn(one)).toMatch(text)
})

test.each([
  object('Service', 'app', { selector: {} }),
  object('Service', 'app'),
  object('Gateway', 'edge', { gatewayClassName: 'wishbone' }),
  object('HTTPRoute', 'route'),
])('nothing to remark: $kind $spec', (one) => {
  expect(remarkOn(one)).toBeUndefined()
})

test('of the machine’s manifest only the controller’s account and the class of gateways', () => {
  const kept = [
    object('CustomResourceDefinition', 'gateways.gateway.networking.k8s.io'),
    object('ClusterRole', 'wishbone-controller'),
    object('GatewayClass', 'wishbone'),
    object('Namespace', 'wishbone-system'),
  ]
  const left = [
    object('Deployment', 'wishbone-controller'),
    object('GatewayClass', 'wishbone-waypoint'),
    object('ServiceAccount', 'ztunnel'),
  ]
  expect([...kept, ...left].filter(isNeeded)).toEqual(kept)
})

test('only Deployments that the controller made for a gateway become processes', () => {
  const deployment = (managed: string, kind: string) =>
    ({
      metadata: {
        name: 'edge-wishbone',
        namespace: 'shop',
        labels: { 'gateway.istio.io/managed': managed },
        ownerReferences: [{ apiVersion: 'v1', kind, name: 'edge', uid: 'u' }],
      },
    }) as unknown as Workload
  expect(gatewayOf(deployment('wishbone.dev-gateway-controller', 'Gateway'))).toBe('shop/edge')
  expect(gatewayOf(deployment('wishbone.dev-gateway-controller', 'Other'))).toBeUndefined()
  expect(gatewayOf(deployment('istio.io-mesh-controller', 'Gateway'))).toBeUndefined()
})

test('the address to name, and free ports', async () => {
  const interfaces = {
    lo: [{ family: 'IPv4', address: '127.0.0.1', internal: true }],
    eth0: [{ family: 'IPv4', address: '192.0.2.7', internal: false }],
  } as unknown as Parameters<typeof publicAddress>[1]
  expect(publicAddress('127.0.0.2', interfaces)).toBe('127.0.0.2')
  expect(publicAddress('0.0.0.0', interfaces)).toBe('192.0.2.7')
  expect(publicAddress('::', {})).toBe('127.0.0.1')
  expect(new Set(await freePorts(4)).size).toBe(4)
})
