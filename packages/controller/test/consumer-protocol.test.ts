// A consumer route is for clients of its own namespace (GEP-1426), and anybody with a namespace may write one for anybody's Service:
// it must not change what the Service's waypoint takes from all others.
import { l7 } from '@wishbone/proto'
import { expect, test } from 'vitest'
import { meshOf, waypointNamespace } from './snapshot.ts'

const world = `${waypointNamespace('shop')}apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.2, ports: [{ name: tcp-db, port: 5432 }, { name: http, port: 80 }, { name: any, port: 81 }] }
---
`
const route = (kind: string, namespace: string, port: number) => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: r, namespace: ${namespace}, generation: 1 }
spec:
  parentRefs: [{ group: "", kind: Service, name: web, namespace: shop, port: ${port} }]
  ${kind === 'TLSRoute' ? 'hostnames: [a.example]' : ''}
  rules: [{ backendRefs: [{ name: web, namespace: shop, port: 80 }] }]
`
const { TCP, HTTP, TLS, UNSPECIFIED } = l7.Protocol

test.each([
  ['HTTPRoute', 5432, TCP, HTTP],
  ['TCPRoute', 80, HTTP, TCP],
  ['TLSRoute', 80, HTTP, TLS],
  ['HTTPRoute', 81, UNSPECIFIED, HTTP],
] as const)('%s for port %i', (kind, port, consumed, produced) => {
  const protocolWith = (namespace: string) =>
    meshOf(world + route(kind, namespace, port)).listeners.get(`service/shop/web.shop.svc.cluster.local/${port}`)
  expect(protocolWith('tenant')).toMatchObject({ protocol: consumed, consumerNamespaces: ['tenant'], hasRoutes: false })
  expect(protocolWith('shop')).toMatchObject({ protocol: produced, consumerNamespaces: [], hasRoutes: true })
})
