// What the exemption of waypoints in the ztunnels' copies of policies (ADR 4, departure 1) lets a waypoint's account do. Whoever may
// run pods in a namespace may run one under the account of its waypoint.
import { authorize, type ConnectionFacts } from '@wishbone/core/authorization'
import { parseSpiffe } from '@wishbone/core/identity'
import { parseIp } from '@wishbone/core/ip'
import { MeshState } from '@wishbone/core/mesh'
import { expect, test } from 'vitest'
import { meshOf, waypointNamespace } from './snapshot.ts'

const world = `${waypointNamespace('tenant')}
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: own, namespace: tenant }
spec: { clusterIP: 10.96.0.1, selector: { app: web }, ports: [{ port: 80 }] }
---
# An address that is not the tenant's, behind a Service of the tenant's.
apiVersion: v1
kind: Service
metadata: { name: claimed, namespace: tenant }
spec: { clusterIP: 10.96.0.2, ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: claimed-1, namespace: tenant, labels: { kubernetes.io/service-name: claimed } }
addressType: IPv4
endpoints: [{ addresses: [10.244.0.2] }]
ports: [{ port: 80 }]
---
apiVersion: v1
kind: Pod
metadata: { name: own-1, namespace: tenant, labels: { app: web }, annotations: { ambient.istio.io/redirection: enabled } }
spec: { serviceAccountName: own }
status: { phase: Running, podIP: 10.244.0.1, conditions: [{ type: Ready, status: "True" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web }, annotations: { ambient.istio.io/redirection: enabled } }
spec: { serviceAccountName: web }
status: { phase: Running, podIP: 10.244.0.2, conditions: [{ type: Ready, status: "True" }] }
---
`

const deny = '{ action: DENY, rules: [{ from: [{ source: { namespaces: [tenant] } }] }] }'
const allow = '{ rules: [{ from: [{ source: { namespaces: [shop] } }] }] }'
const selecting = (spec: string) => spec.replace('{ ', '{ selector: { matchLabels: { app: web } }, ')

/** Whether a connection to port 80 of a pod passes, as its ztunnel judges it. */
function passes(spec: string, pod: string, from: string): boolean {
  const policy = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: mesh-wide, namespace: wishbone-system }
spec: ${spec}`
  const mesh = meshOf(world + policy)
  const state = new MeshState()
  state.applyAuthorizations({ authorizations: [...mesh.authorizations], removed: [] })
  const workload = mesh.workloads.get(`Kubernetes//Pod/${pod}`)!
  const policies = state.policiesOf(workload)
  if ('kind' in policies) throw new Error('the pod names a policy that is not there')
  const facts: ConnectionFacts = {
    source: parseSpiffe(`spiffe://cluster.local/ns/${from}`),
    sourceIp: parseIp('10.244.0.9')!,
    destinationIp: workload.addresses[0]!,
    destinationPort: 80,
  }
  return authorize(policies, facts).allowed
}

test.each([
  ['DENY', deny],
  ['ALLOW', allow],
  ['DENY with a selector', selecting(deny)],
  ['ALLOW with a selector', selecting(allow)],
])('a mesh-wide policy (%s) lets a waypoint pass to what it stands in front of, and to nothing else', (_, spec) => {
  expect(passes(spec, 'tenant/own-1', 'tenant/sa/waypoint')).toBe(true)
  expect(passes(spec, 'tenant/own-1', 'tenant/sa/own')).toBe(false)
  expect(passes(spec, 'shop/web-1', 'tenant/sa/own')).toBe(false)
  expect(passes(spec, 'shop/web-1', 'tenant/sa/waypoint')).toBe(false)
})
