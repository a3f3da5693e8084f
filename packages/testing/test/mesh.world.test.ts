// One world, the mesh's main promises: mTLS with identities, policy, waypoints, statuses, metrics, restarts.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type Distribution, type Outcome, until } from '../src/cluster/index.ts'
import {
  accessLogLine,
  castOf,
  enrolled,
  metricsOf,
  readyPods,
  startWorld,
  type World,
  waypointOf,
} from '../src/world/index.ts'

let world: World
let cluster: Cluster

beforeAll(async () => {
  world = await startWorld({ objects: castOf() })
  cluster = world.cluster
  await enrolled(cluster, 'shop')
  await readyPods(cluster, 'shop', 'app=server', 2)
})
afterAll(() => world?.[Symbol.asyncDispose]())

const client = async () => (await readyPods(cluster, 'shop', 'app=client', 2))[0]!
const server = async () => (await readyPods(cluster, 'shop', 'app=server', 2))[0]!
const get = async (url: string, ...words: string[]): Promise<Outcome> =>
  cluster.toolbox(await client(), 'http', url, ...words)

test('pods that are there before the node agent wait for it, and none was outside the mesh', async () => {
  const reasons = (await cluster.list('events', 'shop')).map((event) => event['reason'])
  expect(reasons).not.toContain('MeshEnrolledLate')
})

describe('L4', () => {
  test('both ends of a connection are named in the access log', async () => {
    expect(await get('http://server:8080/')).toMatchObject({ status: 200 })
    const line = await accessLogLine(
      cluster,
      (text) => text.includes('connection complete') && text.includes('sa/server'),
    )
    expect(line).toContain('spiffe://cluster.local/ns/shop/sa/client')
    expect(line).toContain('spiffe://cluster.local/ns/shop/sa/server')
  })

  test('the application sees the address of the client pod', async () => {
    const pod = await client()
    const answer = await cluster.toolbox(pod, 'http', 'http://server:8080/')
    expect(JSON.parse(answer.body ?? '{}').remote).toContain(pod.status?.podIP)
  })

  test('TCP metrics have the names and labels that dashboards for Istio use', async () => {
    const [ztunnel] = await readyPods(cluster, 'wishbone-system', 'app=ztunnel', 2)
    const text = await until('TCP metrics', async () => {
      const metrics = await metricsOf(cluster, ztunnel!)
      return /istio_tcp_connections_opened_total\{[^}]*destination_workload="server"/.test(metrics)
        ? metrics
        : undefined
    })
    expect(text).toMatch(/istio_tcp_(sent|received)_bytes_total\{/)
    expect(text).toContain('connection_security_policy="mutual_tls"')
  })

  test('a policy that names another identity refuses, and lets through when it is gone', async () => {
    const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: shop }
spec:
  selector: { matchLabels: { app: server } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/nobody] } }]
`
    await cluster.apply(policy)
    await until('the refusal', async () => (await get('http://server:8080/')).status !== 200)
    await cluster.remove(policy)
    await until('an answer', async () => (await get('http://server:8080/')).status === 200)
  })
})

describe('L7', () => {
  test('a route to nowhere is a status, and answers 500 with its share only', async () => {
    await cluster.apply(waypointOf())
    await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
    await cluster.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: half, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: server, port: 8080 }]
  rules:
    - backendRefs:
        - { name: server, port: 8080, weight: 1 }
        - { name: nowhere, port: 8080, weight: 1 }
`)
    const ask = async (count: number): Promise<Distribution> =>
      cluster.toolbox<Distribution>(await client(), 'http', 'http://server:8080/', '--count', String(count))
    await until('the route to be in force', async () => ((await ask(10)).statuses['500'] ?? 0) > 0)
    const seen = await ask(200)
    expect(seen.statuses['500']).toBeGreaterThan(60)
    expect(seen.statuses['200']).toBeGreaterThan(60)
    const route = (await cluster.get('httproutes', 'shop', 'half')) as unknown as {
      status: { parents: { conditions: { type: string; status: string; reason: string; message: string }[] }[] }
    }
    const resolved = route.status.parents[0]?.conditions.find((condition) => condition.type === 'ResolvedRefs')
    expect(resolved).toMatchObject({ status: 'False', reason: 'BackendNotFound' })
    expect(resolved?.message).toContain('nowhere')
  })

  test('HTTP metrics of the waypoint have the names that dashboards for Istio use', async () => {
    const [waypoint] = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
    const text = await metricsOf(cluster, waypoint!)
    expect(text).toMatch(/istio_requests_total\{[^}]*response_code="200"/)
    expect(text).toContain('istio_request_duration_milliseconds_bucket')
  })

  test('a waypoint that is gone refuses instead of letting traffic past it', async () => {
    await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': 'missing' } } })
    await until('a refusal', async () => (await get('http://server:8080/')).status === undefined)
    await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': null } } })
    await until('an answer', async () => (await get('http://server:8080/')).status === 200)
  })
})

describe('failures', () => {
  test('a killed ztunnel comes back and finds its pods', async () => {
    const pod = await client()
    const [ztunnel] = (await readyPods(cluster, 'wishbone-system', 'app=ztunnel', 2)).filter(
      (one) => one.spec.nodeName === pod.spec.nodeName,
    )
    await cluster.client.request(
      'DELETE',
      `/api/v1/namespaces/wishbone-system/pods/${ztunnel!.metadata.name}?gracePeriodSeconds=0`,
    )
    await until('an answer', async () => (await cluster.toolbox(pod, 'http', 'http://server:8080/')).status === 200)
  })

  test('a killed node agent finds its pods again, without harm to them', async () => {
    for (const agent of await readyPods(cluster, 'wishbone-system', 'app=wishbone-node', 2)) {
      await cluster.client.request(
        'DELETE',
        `/api/v1/namespaces/wishbone-system/pods/${agent.metadata.name}?gracePeriodSeconds=0`,
      )
    }
    expect(await get('http://server:8080/')).toMatchObject({ status: 200 })
    await readyPods(cluster, 'wishbone-system', 'app=wishbone-node', 2)
    const answer = await get(`http://${(await server()).status?.podIP}:8080/`)
    expect(answer).toMatchObject({ status: 200 })
  })
})
