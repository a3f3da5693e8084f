// EndpointSlices that somebody wrote by hand, or another controller: of Services without a selector.
import { expect, test } from 'vitest'
import { meshOf } from './snapshot.ts'

const world = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.1, ports: [{ name: http, port: 80 }, { name: admin, port: 81 }, { name: other, port: 82 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop }
spec: { serviceAccountName: web }
status: { phase: Running, podIP: 10.244.0.2, conditions: [{ type: Ready, status: "True" }] }
`
const slice = (name: string, ports: string) => `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [${ports}]
endpoints: [{ addresses: [10.244.0.2], targetRef: { kind: Pod, namespace: shop, name: web-1 } }]
`

test('a pod whose ports are in several slices has them all', () => {
  const { workloads } = meshOf(
    world +
      slice('a', '{ name: http, port: 8080 }') +
      slice('b', '{ name: admin, port: 9090 }, { name: other, port: 53, protocol: UDP }'),
  )
  expect(workloads.get('Kubernetes//Pod/shop/web-1')?.services['shop/web.shop.svc.cluster.local']?.ports).toMatchObject(
    [
      { servicePort: 80, targetPort: 8080 },
      { servicePort: 81, targetPort: 9090 },
    ],
  )
})
