// AuthorizationPolicies whose targets are written in both ways that the API has had.
import { expect, test } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, meshOf, objectsOf, snapshotOf } from './snapshot.ts'

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: 1 }
spec: { gatewayClassName: wishbone, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
`
const policy = (spec: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: shop, generation: 1 }
spec: ${spec}
`
const edge = '{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }'

test.each([
  ['targetRef beside an empty targetRefs', `{ targetRefs: [], targetRef: ${edge} }`],
  ['targetRef beside no targetRefs', `{ targetRefs: null, targetRef: ${edge} }`],
  ['targetRef alone', `{ targetRef: ${edge} }`],
])('%s: the policy is enforced there', (_, spec) => {
  const listeners = [...meshOf(gateway + policy(spec)).listeners.values()]
  expect(listeners.map(({ policies }) => policies)).toEqual([['shop/closed']])
})

test('an address is the one that was asked for, however it is written', () => {
  const yaml = `${gateway.replace('spec: {', "spec: { addresses: [{ value: '2001:DB8:0::1' }],")}
apiVersion: v1
kind: Service
metadata: { name: edge-wishbone, namespace: shop, labels: { gateway.networking.k8s.io/gateway-name: edge } }
spec: { type: LoadBalancer, clusterIP: 10.96.0.2, ports: [{ name: port-80, port: 80 }] }
status: { loadBalancer: { ingress: [{ ip: '2001:db8::1' }] } }
`
  const { statuses } = translate(snapshotOf([...classes, ...objectsOf(yaml)]), defaultSettings)
  const conditions = statuses.find(({ kind }) => kind === 'Gateway')?.conditions
  expect(conditions?.find(({ type }) => type === 'Programmed')?.reason).toBe('Pending')
})
