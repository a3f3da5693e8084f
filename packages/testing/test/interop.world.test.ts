// Istio's Rust ztunnel under our controller, CA and node agent on one node, our ztunnel on the other, a waypoint between them.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, type PodObject, until } from '../src/cluster/index.ts'
import {
  castOf,
  enrolled,
  readyPods,
  rustImageLines,
  rustZtunnel,
  startWorld,
  type World,
  waypointOf,
  withRustZtunnel,
} from '../src/world/index.ts'

const binary = rustZtunnel()
const missing = 'the Rust ztunnel is not here: set ZTUNNEL_BIN, or put ztunnel.xz into ../shared/peers'
if (!binary && process.env['CI'] === 'true') throw new Error(missing)

let world: World
let cluster: Cluster
let clients: readonly PodObject[] = []
let servers: readonly PodObject[] = []

beforeAll(async () => {
  if (!binary) return
  const manifests = withRustZtunnel(mkdtempSync(join(tmpdir(), 'wishbone-interop-')), ['node1'], ['node2'])
  world = await startWorld({ objects: castOf(), systemManifests: manifests, images: rustImageLines(binary) })
  cluster = world.cluster
  await enrolled(cluster, 'shop')
  servers = await readyPods(cluster, 'shop', 'app=server', 2)
  clients = await readyPods(cluster, 'shop', 'app=client', 2)
})
afterAll(() => world?.[Symbol.asyncDispose]())

const on = (pods: readonly PodObject[], node: string): PodObject => {
  const found = pods.find((pod) => pod.spec.nodeName === node)
  if (!found) throw new Error(`no pod on ${node}`)
  return found
}

const ways = [
  { title: 'Rust to ours', from: 'node1', to: 'node2' },
  { title: 'ours to Rust', from: 'node2', to: 'node1' },
  { title: 'Rust to Rust on one node', from: 'node1', to: 'node1' },
]

test.skipIf(!binary).each(ways)('$title: HTTP, half-close, server-first, gRPC by pod IP', async ({ from, to }) => {
  const client = on(clients, from)
  const ip = on(servers, to).status?.podIP ?? ''
  expect(await cluster.toolbox(client, 'http', `http://${ip}:8080/`)).toMatchObject({ status: 200 })
  expect(await cluster.toolbox(client, 'tcp-echo', ip, '9000', '3000000')).toMatchObject({ same: true })
  expect(JSON.stringify((await cluster.toolbox(client, 'tcp-first', ip, '9001')).heard)).toContain('speaks first')
  expect(await cluster.toolbox(client, 'grpc', `${ip}:9002`)).toMatchObject({ counted: 1000, chatted: 5 })
})

test.skipIf(!binary).each(ways.slice(0, 2))(
  '$title: an L4 policy refuses one identity and lets another pass',
  async ({ from, to }) => {
    const policy = (account: string): string => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: interop, namespace: shop }
spec:
  selector: { matchLabels: { app: server } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/${account}] } }]
`
    const client = on(clients, from)
    const url = `http://${on(servers, to).status?.podIP}:8080/`
    await cluster.apply(policy('nobody'))
    await until('the refusal', async () => (await cluster.toolbox(client, 'http', url)).status !== 200)
    await cluster.apply(policy('client'))
    await until('an answer', async () => (await cluster.toolbox(client, 'http', url)).status === 200)
    await cluster.remove(policy('client'))
  },
)

test.skipIf(!binary)('through a waypoint, from both nodes to both nodes', async () => {
  await cluster.apply(waypointOf())
  await cluster.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: marked, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: server, port: 8080 }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-through, value: waypoint }] }
      backendRefs: [{ name: server, port: 8080 }]
`)
  await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
  for (const client of clients) {
    const served = new Set<string>()
    await until(`answers of both servers to ${client.spec.nodeName} through the waypoint`, async () => {
      const answer = await cluster.toolbox(client, 'http', 'http://server:8080/')
      if (answer.status === 200 && answer.headers?.['x-through'] === 'waypoint')
        served.add(answer.headers['x-served-by'] ?? '')
      return served.size === 2
    })
  }
})
