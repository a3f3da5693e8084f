// L4: two pods on two nodes, first without the mesh, then through two of our ztunnels, then through two of Istio's Rust ztunnel:
// throughput, processor time per gigabyte, round trip, new connections per second.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Cluster, PodObject } from '@wishbone/testing/cluster'
import {
  enrolled,
  readyPods,
  rustImageLines,
  rustZtunnel,
  startWorld,
  withRustZtunnel,
  withZtunnelEnvironment,
} from '@wishbone/testing/world'
import { cpuSeconds, l4load, Missing, median, printRows } from './tools.ts'

export interface L4Figures {
  readonly gbit1: number
  readonly gbit8: number
  readonly cpuPerGb: number
  readonly p50: number
  readonly p99: number
  readonly connections: number
}

const objects = `apiVersion: v1
kind: Namespace
metadata: { name: bench }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: load, namespace: bench }
spec:
  selector: { matchLabels: { app: load } }
  template:
    metadata: { labels: { app: load } }
    spec:
      # Thousands of connections a second use up the usual ports in no time.
      securityContext:
        sysctls:
          - { name: net.ipv4.ip_local_port_range, value: "16384 65535" }
          - { name: net.ipv4.tcp_tw_reuse, value: "1" }
      containers: [{ name: load, image: bench/l4load, args: [serve, "5201"] }]
`

interface Proxy {
  readonly words: readonly string[]
}

async function measure(cluster: Cluster, proxy: Proxy, runs: number, seconds: number): Promise<L4Figures> {
  const pods = await readyPods(cluster, 'bench', 'app=load', 2)
  const [server, client] = pods as [PodObject, PodObject]
  const ip = server.status?.podIP ?? ''
  const load = async <T>(...words: string[]): Promise<T> => {
    const result = await cluster.run(client, [l4load(), ...words])
    if (result.code !== 0) throw new Error(`l4load ${words.join(' ')}: ${result.stderr}`)
    return JSON.parse(result.stdout) as T
  }
  type Rate = { perSecond: number; errors: number; total: number }
  await load<Rate>('connect', ip, '5201', '4', '1')
  const all: L4Figures[] = []
  for (let run = 0; run < runs; run++) {
    const before = cpuSeconds(...proxy.words)
    const one = await load<Rate>('throughput', ip, '5201', '1', String(seconds))
    const cpuPerGb = (cpuSeconds(...proxy.words) - before) / (one.total / 1e9)
    const eight = await load<Rate>('throughput', ip, '5201', '8', String(seconds))
    const trip = await load<{ p50: number; p99: number }>('roundtrip', ip, '5201', String(seconds))
    const connect = await load<Rate>('connect', ip, '5201', '16', String(seconds))
    if (one.errors + eight.errors + connect.errors > 0)
      throw new Error(`errors under load: ${JSON.stringify([one, eight, connect])}`)
    all.push({
      gbit1: (one.perSecond * 8) / 1e9,
      gbit8: (eight.perSecond * 8) / 1e9,
      cpuPerGb,
      p50: trip.p50,
      p99: trip.p99,
      connections: connect.perSecond,
    })
  }
  const of = (field: keyof L4Figures): number => median(all.map((figures) => figures[field]))
  return {
    gbit1: of('gbit1'),
    gbit8: of('gbit8'),
    cpuPerGb: of('cpuPerGb'),
    p50: of('p50'),
    p99: of('p99'),
    connections: of('connections'),
  }
}

async function enrolBench(cluster: Cluster): Promise<void> {
  await cluster.patch('namespaces', undefined, 'bench', {
    metadata: { labels: { 'istio.io/dataplane-mode': 'ambient' } },
  })
  await enrolled(cluster, 'bench')
  // The workload's HBONE must have reached the other node's ztunnel.
  await new Promise((resolve) => setTimeout(resolve, 2_000))
}

/** True when every floor holds. */
export async function benchL4(runs: number, seconds: number): Promise<boolean> {
  const binary = rustZtunnel()
  if (!binary) throw new Missing('the Rust ztunnel is missing: set ZTUNNEL_BIN, or put ztunnel.xz into ../shared/peers')
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-bench-'))
  const image = `  bench/l4load:\n    command: ['${l4load()}']\n    workingDir: ${dirname(l4load())}\n`
  let direct: L4Figures
  let ours: L4Figures
  {
    await using world = await startWorld({
      objects,
      images: image,
      systemManifests: withZtunnelEnvironment(join(folder, 'own'), {}),
    })
    direct = await measure(world.cluster, { words: ['no such process'] }, runs, seconds)
    await enrolBench(world.cluster)
    ours = await measure(world.cluster, { words: ['packages/ztunnel/src/main.ts'] }, runs, seconds)
  }
  let rust: L4Figures
  {
    await using world = await startWorld({
      objects,
      images: image + rustImageLines(binary),
      systemManifests: withRustZtunnel(join(folder, 'rust'), ['node1', 'node2'], []),
    })
    await enrolBench(world.cluster)
    rust = await measure(world.cluster, { words: [binary] }, runs, seconds)
  }
  const row = (what: string, field: keyof L4Figures, unit: string, floor?: number) => ({
    what,
    ours: ours[field],
    peer: rust[field],
    unit,
    ...(field === 'cpuPerGb' ? {} : { base: direct[field] }),
    ...(floor === undefined ? {} : { floor }),
  })
  return printRows('L4 between two nodes, medians', 'rust ztunnel', [
    row('throughput, 1 stream', 'gbit1', 'Gbit/s', 0.5),
    row('throughput, 8 streams', 'gbit8', 'Gbit/s', 0.5),
    row('processor time, both proxies', 'cpuPerGb', 's/GB'),
    row('round trip p50', 'p50', 'µs'),
    row('round trip p99', 'p99', 'µs'),
    row('new connections', 'connections', '/s'),
  ])
}
