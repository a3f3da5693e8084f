// ConfigMaps that anyone may write, as certificates of authorities: reading them takes no longer than they are.
import { expect, test } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, snapshotOf } from './snapshot.ts'

const world = `
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
  targetRefs: [{ group: '', kind: Service, name: web }]
  validation: { caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }], hostname: web.example.org }
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

test('a ConfigMap full of beginnings of certificates does not keep the controller from its work', () => {
  const begin = '-----BEGIN CERTIFICATE-----\n'
  const data = { 'ca.crt': begin.repeat(Math.floor((1 << 20) / begin.length)) }
  const ca = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca', namespace: 'shop' }, data }
  const snapshot = snapshotOf([...classes, ...objectsOf(world), ca])
  const began = performance.now()
  const { statuses } = translate(snapshot, defaultSettings)
  expect(performance.now() - began).toBeLessThan(2_000)
  expect(JSON.stringify(statuses)).toContain('without a PEM certificate')
})
