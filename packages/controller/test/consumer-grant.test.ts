// A consumer route may send to the Service of another namespace that is its parent, without a ReferenceGrant (GEP-1426): on the way of
// that Service's own traffic, which its owner chose. What else the route is attached to must not get that permission with it.
import { expect, test } from 'vitest'
import { meshOf, waypointNamespace } from './snapshot.ts'

const world = `${waypointNamespace('tenant')}${waypointNamespace('shop')}apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: tenant, generation: 1 }
spec: { gatewayClassName: wishbone, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: v1
kind: Service
metadata: { name: own, namespace: tenant, generation: 1 }
spec: { clusterIP: 10.96.0.1, selector: { app: own }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.2, selector: { app: web }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: other, namespace: shop, generation: 1 }
spec: { clusterIP: 10.96.0.3, selector: { app: other }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web }, annotations: { ambient.istio.io/redirection: enabled } }
spec: { serviceAccountName: web }
status: { phase: Running, podIP: 10.244.0.2, conditions: [{ type: Ready, status: "True" }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-tenants, namespace: shop, generation: 1 }
spec: { action: DENY, rules: [{ from: [{ source: { namespaces: [tenant] } }] }] }
---
`

const grant = `
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: tenant, namespace: shop }
spec: { from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: tenant }], to: [{ group: "", kind: Service, name: web }] }
---
`

const own = '{ group: "", kind: Service, name: own }'
const web = '{ group: "", kind: Service, name: web, namespace: shop }'
const other = '{ group: "", kind: Service, name: other, namespace: shop }'
const edge = '{ name: edge }'

function translated(parents: readonly string[], more = '') {
  const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: to-web, namespace: tenant, generation: 1 }
spec: { parentRefs: [${parents.join()}], rules: [{ backendRefs: [{ name: web, namespace: shop, port: 80 }] }] }
`
  const mesh = meshOf(world + more + route)
  const backends = [...mesh.routes.values()].flatMap(({ backends }) =>
    backends.map(({ backend }) => backend?.target.case),
  )
  const policy = JSON.stringify(mesh.authorizations.get('shop/no-tenants'), (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
  return { backends: [...new Set(backends)], exemptsTenant: policy.includes('/ns/tenant/sa/waypoint') }
}

test.each([
  ['the Service alone', [web]],
  ['Services of its namespace', [web, other]],
])('with %s as parent there is no need of a grant', (_, parents) => {
  expect(translated(parents)).toEqual({ backends: ['service'], exemptsTenant: false })
})

test.each([
  ['a Service of the own namespace', [web, own]],
  ['a gateway', [web, edge]],
])('with %s as parent too there is', (_, parents) => {
  expect(translated(parents)).toEqual({ backends: ['invalid'], exemptsTenant: false })
})

test('with a grant the waypoint in between may carry what it is given', () => {
  expect(translated([web, own], grant)).toEqual({ backends: ['service'], exemptsTenant: true })
})
