// Parameters, Services and listeners that went wrong while their Gateway serves: what runs is not taken away for it.
import { expect, test } from 'vitest'
import type { Desired } from '../src/model/index.ts'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, snapshotOf } from './snapshot.ts'

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: 1, uid: edge-uid }
spec:
  gatewayClassName: wishbone
  infrastructure: { parametersRef: { group: '', kind: ConfigMap, name: sized } }
  listeners: [{ name: http, port: 80, protocol: HTTP }]
`

function configMap(deployment: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sized', namespace: 'shop' }, data: { deployment } }
}

/** How the Deployment of the only Gateway fares; undefined: it is deleted. */
function fateOf(yaml: string, more: readonly object[] = []): Desired['kind'] | undefined {
  const objects = [...classes, ...objectsOf(yaml), ...(more as typeof classes)]
  const { infra } = translate(snapshotOf(objects), defaultSettings)
  return infra.find((desired) => (desired.kind === 'apply' ? desired.object : desired.ref).kind === 'Deployment')?.kind
}

test.each([
  ['an entry without a container', 'spec: {template: {spec: {containers: [null]}}}'],
  ['no container at all', 'spec: {template: {spec: {containers: [{$patch: replace}]}}}'],
  ['an entry without a variable', 'spec: {template: {spec: {containers: [{name: wishbone, env: [null]}]}}}'],
  ['variables that are no list', 'spec: {template: {spec: {containers: [{name: wishbone, env: {A: b}}]}}}'],
])('parameters with %s are for the API server to refuse, and the Gateway’s Deployment stays', (_, text) => {
  expect(fateOf(gateway, [configMap(text)])).toBe('apply')
})

test('a Gateway none of whose listeners can be accepted any more keeps its Service, whose address would not come back', () => {
  const listener = '{ name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: [{ name: web }] } }'
  const tls =
    'tls: { frontend: { default: { validation: { caCertificateRefs: [{ group: "", kind: ConfigMap, name: gone }] } } } }'
  const yaml = gateway
    .replace(/listeners: .*/, `listeners: [${listener}]\n  ${tls}`)
    .replace(/ {2}infrastructure: .*\n/, '')
  expect(fateOf(yaml)).toBe('keep')
})

test('a Gateway that can not be translated keeps what it has, too', () => {
  expect(fateOf(gateway.replace(/listeners: .*/, 'listeners: 5'))).toBe('keep')
})

test('a Service that lost its label is the Gateway’s all the same', () => {
  const service = `---
apiVersion: v1
kind: Service
metadata:
  name: edge-wishbone
  namespace: shop
  ownerReferences: [{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, name: edge, uid: edge-uid }]
spec: { type: LoadBalancer, ports: [{ name: port-80, port: 80 }] }
`
  expect(fateOf(gateway + service, [configMap('spec: {replicas: 2}')])).toBe('apply')
})

test.each([
  ['of a tenant’s making', '{a}'.repeat(300_000), 'more than 32768 characters'],
  ['short enough and wrong everywhere', '{a}'.repeat(10_000), 'more faults'],
])(
  'a ConfigMap %s does not keep the controller from its work',
  (_, text, told) => {
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'sized', namespace: 'shop' },
      data: { deployment: text },
    }
    const many = Array.from({ length: 20 }, (__, at) => ({
      ...objectsOf(gateway)[0]!,
      metadata: { name: `edge-${at}`, namespace: 'shop', generation: 1 },
    }))
    const began = performance.now()
    const { statuses } = translate(snapshotOf([...classes, ...many, map]), defaultSettings)
    expect(performance.now() - began).toBeLessThan(4_000)
    expect(JSON.stringify(statuses)).toContain(told)
  },
  30_000,
)
