// Every program of the mesh is replaced under load, one after the other, and no request fails.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, type LoadResult, until } from '../src/cluster/index.ts'
import { castOf, enrolled, metricsOf, readyPods, startWorld, type World, waypointOf } from '../src/world/index.ts'

/** "Under load": at least this long around what happens. */
const loadSeconds = Number(process.env['LOAD_SECONDS'] ?? 30)
const ratePerClient = Number(process.env['LOAD_RATE'] ?? 100)
let world: World
let cluster: Cluster

beforeAll(async () => {
  world = await startWorld({ objects: castOf() })
  cluster = world.cluster
  await enrolled(cluster, 'shop')
  await readyPods(cluster, 'shop', 'app=server', 2)
  await readyPods(cluster, 'shop', 'app=client', 2)
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** As `kubectl rollout restart`, waiting for the end as `kubectl rollout status` does. */
async function roll(kind: 'daemonsets' | 'deployments', namespace: string, name: string): Promise<void> {
  const at = new Date().toISOString()
  await cluster.patch(kind, namespace, name, {
    spec: { template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': at } } } },
  })
  await until(`the roll of ${name}`, async () => {
    const { metadata, spec, status } = (await cluster.get(kind, namespace, name)) as unknown as {
      metadata: { generation: number }
      spec: { replicas?: number }
      status: Record<string, number>
    }
    if (status['observedGeneration'] !== metadata.generation) return false
    if (kind === 'daemonsets') {
      const wanted = status['desiredNumberScheduled']
      return status['updatedNumberScheduled'] === wanted && status['numberAvailable'] === wanted
    }
    const wanted = spec.replicas ?? 1
    const all = status['updatedReplicas'] === wanted && status['replicas'] === wanted
    return all && status['availableReplicas'] === wanted
  })
}

/** The load from both nodes, and in the middle of it the event. */
async function underLoad(event: () => Promise<void>): Promise<void> {
  const clients = await readyPods(cluster, 'shop', 'app=client', 2)
  expect(new Set(clients.map((pod) => pod.spec.nodeName)).size).toBe(2)
  const load = Promise.all(clients.map((pod) => cluster.load(pod, 'server', loadSeconds, ratePerClient, true)))
  load.catch(() => {})
  await delay(5_000)
  await event()
  const results = await load
  process.stdout.write(`${summary(results)}\n`)
  expect(results.flatMap(failuresOf)).toEqual([])
  for (const { counts } of results) {
    expect(counts['newConnections']?.ok).toBeGreaterThan(loadSeconds * ratePerClient * 0.8)
    for (const kind of ['keepAlive', 'http2', 'dns', 'tcpEcho', 'webSocket', 'grpcStream'])
      expect(counts[kind]?.ok).toBeGreaterThan(10)
  }
}

function failuresOf({ counts }: LoadResult): readonly string[] {
  return Object.entries(counts).flatMap(([kind, { asked, ok, reasons }]) =>
    asked === ok ? [] : [`${kind}: ${asked - ok} of ${asked}: ${reasons.join('; ')}`],
  )
}

function summary(results: readonly LoadResult[]): string {
  const kinds = Object.keys(results[0]?.counts ?? {})
  return kinds
    .map((kind) => `${kind} ${results.map(({ counts }) => `${counts[kind]?.ok}/${counts[kind]?.asked}`).join(' + ')}`)
    .join(', ')
}

test('ztunnel, on both nodes', async () => {
  await underLoad(() => roll('daemonsets', 'wishbone-system', 'ztunnel'))
  // The old ones end as soon as nothing is open on them.
  await until('the old ztunnels to end', async () => {
    const pods = await cluster.pods('wishbone-system', 'app=ztunnel')
    return pods.length === 2
  })
})

test('the controller', async () => {
  await underLoad(() => roll('deployments', 'wishbone-system', 'wishbone-controller'))
})

test('the node agent', async () => {
  await underLoad(() => roll('daemonsets', 'wishbone-system', 'wishbone-node'))
})

test('a waypoint', async () => {
  await cluster.apply(waypointOf())
  await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
  const [client] = await readyPods(cluster, 'shop', 'app=client', 2)
  const [waypoint] = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  await until('requests to go through the waypoint', async () => {
    await cluster.toolbox(client!, 'http', 'http://server:8080/')
    return (await metricsOf(cluster, waypoint!)).includes('response_code="200"')
  })
  await underLoad(() => roll('deployments', 'shop', 'waypoint'))
  await until('the old waypoint to end', async () => {
    const pods = await cluster.pods('shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
    return pods.length === 1
  })
})
