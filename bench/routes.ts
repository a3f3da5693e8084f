// How long an edited HTTPRoute takes to be obeyed, from the API server's answer to the first request that shows it, with many
// routes loaded on one Gateway of the cluster of $KUBECONFIG; and how long the other requests had to wait meanwhile.
import { Agent, get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Cluster, connectCluster, isReady, type PodObject, until } from '@wishbone/testing/cluster'
import { Missing } from './tools.ts'

const namespace = 'wishbone-bench-routes'
const gatewaySelector = 'gateway.networking.k8s.io/gateway-name=edge'
const goals = { p50Ms: 150, p99Ms: 500 }

/** `editCount` edits with `routeCount` routes. True when the goals of 1,000 routes are met. */
export async function benchRoutes(routeCount: number, editCount: number): Promise<boolean> {
  const file = process.env['KUBECONFIG']
  if (file === undefined) throw new Missing('routes needs a cluster: set KUBECONFIG, with the mesh installed there')
  const cluster = connectCluster(file)
  try {
    const address = await setUp(cluster, routeCount)
    return await measure(cluster, address, { routeCount, editCount })
  } finally {
    await cluster.remove(`apiVersion: v1\nkind: Namespace\nmetadata: { name: ${namespace} }\n`)
  }
}

/** A redirect needs no backend: what is measured is configuration only. */
function route(index: number, hostname: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route-${index}, namespace: ${namespace} }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [host-${index % 100}.example]
  rules:
    - matches: [{ path: { value: /route-${index} } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: ${hostname} } }]
`
}

async function setUp(cluster: Cluster, routeCount: number): Promise<string> {
  const isThere = async () => (await cluster.list('namespaces')).some(({ metadata }) => metadata.name === namespace)
  await until('what an earlier run left to be gone', async () => !(await isThere()), 300_000)
  await cluster.apply(`apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: ${namespace} }
spec: { gatewayClassName: wishbone, listeners: [{ name: http, port: 80, protocol: HTTP }] }
`)
  const batch = 50
  for (let start = 0; start < routeCount; start += batch) {
    const indexes = Array.from({ length: Math.min(batch, routeCount - start) }, (_, offset) => start + offset)
    await Promise.all(indexes.map((index) => cluster.apply(route(index, 'first.example'))))
  }
  const address = await until('an address of the Gateway', async () => {
    const { status } = (await cluster.get('gateways', namespace, 'edge')) as unknown as {
      status?: { addresses?: readonly { value: string }[] }
    }
    return status?.addresses?.[0]?.value
  })
  await until(
    'the last route',
    async () => (await ask(address, routeCount - 1)).location?.includes('first.example'),
    120_000,
  )
  return address
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 })

function ask(address: string, index: number): Promise<{ location: string | undefined; ms: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ location: string | undefined; ms: number }>()
  const started = performance.now()
  const headers = { host: `host-${index % 100}.example` }
  const request = get({ host: address, port: 80, path: `/route-${index}`, headers, agent }, (response) => {
    response.resume()
    response.on('end', () => resolve({ location: response.headers.location, ms: performance.now() - started }))
  })
  request.on('error', reject)
  return promise
}

async function measure(
  cluster: Cluster,
  address: string,
  { routeCount, editCount }: { readonly routeCount: number; readonly editCount: number },
): Promise<boolean> {
  const waits: number[] = []
  const steady: number[] = []
  let measuring = true
  const gateway = await gatewayPod(cluster)
  const { collections } = await pausesOf(cluster, gateway)
  const others = (async () => {
    for (; measuring; await delay(5)) steady.push((await ask(address, 1)).ms)
  })()
  for (let edit = 0; edit < editCount; edit++) {
    const index = (edit * 37) % routeCount
    const hostname = `edit-${edit}.example`
    await cluster.patch('httproutes', namespace, `route-${index}`, {
      spec: {
        rules: [
          {
            matches: [{ path: { type: 'PathPrefix', value: `/route-${index}` } }],
            filters: [{ type: 'RequestRedirect', requestRedirect: { hostname } }],
          },
        ],
      },
    })
    const written = performance.now()
    while (!(await ask(address, index)).location?.includes(hostname)) {
      if (performance.now() - written > 30_000) throw new Error(`edit ${edit} was not obeyed within 30 s`)
      await delay(2)
    }
    waits.push(performance.now() - written)
  }
  measuring = false
  await others
  const pauses = await pausesOf(cluster, gateway)
  agent.destroy()
  const [p50, p99] = [percentile(waits, 0.5), percentile(waits, 0.99)]
  const show = (ms: number) => `${ms.toFixed(0)} ms`.padStart(8)
  process.stdout.write(`\nroutes: ${editCount} edits with ${routeCount} HTTPRoutes on one Gateway
  from the API server's answer to the first request that obeys   p50 ${show(p50)}  p99 ${show(p99)}  max ${show(Math.max(...waits))}
  other requests meanwhile (${String(steady.length).padStart(6)})                            p50 ${show(percentile(steady, 0.5))}  p99 ${show(percentile(steady, 0.99))}  max ${show(Math.max(...steady))}
  the gateway: longest turn with configuration ${show(pauses.cpuMs)} of its own CPU (to the kernel's tick of 4 ms), ${show(pauses.wallMs)} by the clock
    longest garbage collection at most ${show(longestCollection(collections, pauses.collections))}; event loop late by at most ${show(pauses.lagMs)}, for whatever reason
  goals: p50 under ${goals.p50Ms} ms, p99 under ${goals.p99Ms} ms\n`)
  return p50 < goals.p50Ms && p99 < goals.p99Ms
}

function gatewayPod(cluster: Cluster): Promise<PodObject> {
  return until('a pod of the Gateway', async () => (await cluster.pods(namespace, gatewaySelector)).find(isReady))
}

/** The metric's timer: an event loop that never waits for anything shows this. */
const resolutionMs = 10

/** In ms, since this was last asked, but for collections: the metrics start anew when they are read. */
async function pausesOf(cluster: Cluster, pod: PodObject) {
  const metrics = await cluster.fetch(pod, 15_020, '/metrics')
  const read = (pattern: RegExp): number => {
    const found = pattern.exec(metrics)
    if (!found) throw new Error(`${pod.metadata.name} shows no metric ${pattern.source}`)
    return Number(found[1]) * 1_000
  }
  return {
    cpuMs: read(/^wishbone_configuration_turn_longest_seconds\{clock="cpu"\} (\S+)$/m),
    wallMs: read(/^wishbone_configuration_turn_longest_seconds\{clock="wall"\} (\S+)$/m),
    lagMs: Math.max(0, read(/^nodejs_eventloop_lag_max_seconds(?:\{.*\})? (\S+)$/m) - resolutionMs),
    collections: collectionsOf(metrics),
  }
}

/** Collections of garbage up to now, by kind and upper bound of their length in seconds. */
function collectionsOf(metrics: string): ReadonlyMap<string, number> {
  const bucket = /^nodejs_gc_duration_seconds_bucket\{le="([^"]+)",kind="(\w+)"\} (\d+)$/gm
  return new Map([...metrics.matchAll(bucket)].map(([, bound, kind, count]) => [`${kind} ${bound}`, Number(count)]))
}

/** In ms: a bound that no collection passed between the two. */
function longestCollection(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): number {
  const since = (key: string) => (after.get(key) ?? 0) - (before.get(key) ?? 0)
  const within = (kind: string, bound: number) =>
    since(`${kind} ${bound}`) === since(`${kind} +Inf`) ? bound * 1_000 : Number.POSITIVE_INFINITY
  const longest = new Map<string, number>()
  for (const key of after.keys()) {
    const [kind = '', bound = ''] = key.split(' ')
    if (bound === '+Inf') continue
    longest.set(kind, Math.min(longest.get(kind) ?? Number.POSITIVE_INFINITY, within(kind, Number(bound))))
  }
  return Math.max(0, ...longest.values())
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
