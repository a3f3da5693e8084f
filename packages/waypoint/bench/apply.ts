// What a change of the configuration costs a gateway with many routes, without a cluster: the waypoint program's own client, decoding
// and compiling, fed over gRPC from another thread. Counted is the CPU time of the thread in one turn of its event loop, which other
// processes on the machine do not lengthen (to the kernel's tick, mostly 4 ms); a request that arrives meanwhile waits at least so long.
import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { findEntry } from '@wishbone/core/matching'
import { MeshState } from '@wishbone/core/mesh'
import { AdsClient } from '@wishbone/runtime/xds'
import { limitYoungGeneration } from '../src/program/memory.ts'
import { subscriptions } from '../src/program/subscriptions.ts'
import { ResourceStore } from '../src/state/store.ts'
import { gateway, type Hosts, hostOf, type Order } from './apply-resources.ts'
import type { Push } from './apply-server.ts'

const goalMs = 20

interface Case {
  readonly what: string
  readonly times: number
  readonly order: (time: number) => Order
}

/** `routeCount` routes; `edits` changes of one route. True when no turn took as long as the goal. */
export async function benchApply(routeCount: number, edits: number): Promise<boolean> {
  limitYoungGeneration()
  let good = true
  for (const hosts of ['many', 'one', 'none'] as const) good = (await measure(hosts, routeCount, edits)) && good
  return good
}

async function measure(hosts: Hosts, routeCount: number, edits: number): Promise<boolean> {
  const state = new MeshState()
  const store = new ResourceStore()
  const server = new Worker(new URL('apply-server.ts', import.meta.url))
  const { bound } = await nextMessage<{ bound: number }>(server)
  const stop = new AbortController()
  const log = { info: () => undefined, warn: console.warn }
  const types = subscriptions(store, state)
  const client = new AdsClient({
    address: `http://127.0.0.1:${bound}`,
    node: { id: 'bench', metadata: {} },
    types,
    log,
  })
  const first = nextMessage(server, types.length)
  const ended = client.run(stop.signal)
  await first
  let nonce = 0
  const push = async (order: Order) => {
    const answered = nextMessage(server)
    server.postMessage({ nonce: String(++nonce), order } satisfies Push)
    await answered
  }
  const routes = (first: number, count: number, version: string, port = 80): Order => ({
    kind: 'routes',
    hosts,
    first,
    count,
    total: routeCount,
    version,
    port,
  })
  const cases: readonly Case[] = [
    { what: 'one route', times: edits, order: (time) => routes((time * 37) % routeCount, 1, `edit-${time}`) },
    { what: '100 routes at once', times: 20, order: (time) => routes((time * 100) % routeCount, 100, `burst-${time}`) },
    { what: 'the listener', times: 20, order: (time) => ({ kind: 'listener', time }) },
    { what: 'one of 1000 endpoints', times: 50, order: (time) => ({ kind: 'workloads', first: time, count: 1, time }) },
    // As when their listener's hostname changes, or the protocol of a Service that all of them name.
    { what: 'all routes at once', times: 10, order: (time) => routes(0, routeCount, `all-${time}`, 8_000 + time) },
  ]
  await push({ kind: 'service' })
  await push({ kind: 'workloads', first: 0, count: 1_000, time: 0 })
  await push(routes(0, routeCount, 'first'))
  await push({ kind: 'listener', time: 0 })
  await delay(100)
  process.stdout.write(
    `\napply: ${routeCount} routes, ${hosts === 'many' ? '100 hostnames' : `${hosts} hostname`}; CPU of the longest turn\n`,
  )
  let good = true
  for (const { what, times, order } of cases) {
    const turns: number[] = []
    const watch = watchTurns()
    for (let time = 1; time <= times; time++) {
      await push(order(time))
      // A request that meets the new table: what is built only with the first of them counts too.
      matchOne(store, hosts, routeCount - 1)
      await delay(5)
      turns.push(watch.longest())
    }
    const { collections } = watch.end()
    const show = (ms: number) => `${ms.toFixed(1)} ms`.padStart(9)
    good = Math.max(...turns) < goalMs && good
    process.stdout.write(
      `  ${what.padEnd(24)} ${String(times).padStart(4)} times  p50 ${show(percentile(turns, 0.5))}  p99 ${show(percentile(turns, 0.99))}  max ${show(Math.max(...turns))}  garbage collection ${show(Math.max(0, ...collections))}\n`,
    )
  }
  stop.abort()
  await ended
  await server.terminate()
  return good
}

/** Looks at every turn of the event loop: between two immediates there is exactly one. */
function watchTurns() {
  let longest = 0
  let isWatching = true
  let last = process.threadCpuUsage()
  const look = () => {
    const now = process.threadCpuUsage()
    longest = Math.max(longest, (now.user + now.system - last.user - last.system) / 1_000)
    last = now
    if (isWatching) setImmediate(look)
  }
  setImmediate(look)
  const collections: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collections.push(duration)
  })
  observer.observe({ entryTypes: ['gc'] })
  return {
    /** In ms, since this was last asked. */
    longest() {
      const result = longest
      longest = 0
      return result
    },
    end() {
      isWatching = false
      observer.disconnect()
      return { collections }
    },
  }
}

function matchOne(store: ResourceStore, hosts: Hosts, index: number): void {
  const table = store.table.listeners.get(gateway)?.http
  const head = {
    method: 'GET',
    path: `/route-${index}/x`,
    query: '',
    host: hostOf(hosts, index) || 'any.example',
    header: () => undefined,
  }
  if (table == null || findEntry(table, head) === undefined) throw new Error('no route matches')
}

function nextMessage<T>(worker: Worker, count = 1): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  let left = count
  worker.once('error', reject)
  const onMessage = (message: T) => {
    if (--left > 0) return
    worker.off('message', onMessage)
    worker.off('error', reject)
    resolve(message)
  }
  worker.on('message', onMessage)
  return promise
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
