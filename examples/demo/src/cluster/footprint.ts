// What the mesh holds on each node: descriptors (listeners, tunnels and network namespaces among them), pods, certificates.
// Equal before and after means that nothing was leaked.
import { type Cluster, isLeaving, isReady, until } from '@wishbone/testing/cluster'
import { system } from './rollout.ts'

interface Held {
  readonly descriptors: number
  readonly pods: number
  /** Of ztunnels only. */
  readonly certificates?: number
}

/** By the name of the ztunnel or node agent. */
export type Footprint = Readonly<Record<string, Held>>

interface Dump {
  readonly certificates?: readonly unknown[]
  readonly workloadState?: Readonly<Record<string, unknown>>
}

/** The sum of a metric's series. */
function sumOf(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

async function footprint(cluster: Cluster): Promise<Footprint> {
  const held: Record<string, Held> = {}
  for (const pod of (await cluster.pods(system, 'app=ztunnel')).filter(isReady)) {
    const dump = JSON.parse(await cluster.fetch(pod, 15_000, '/config_dump')) as Dump
    const metrics = await cluster.fetch(pod, 15_020, '/metrics')
    held[pod.metadata.name] = {
      descriptors: sumOf(metrics, 'process_open_fds'),
      pods: Object.keys(dump.workloadState ?? {}).length,
      certificates: dump.certificates?.length ?? 0,
    }
  }
  for (const pod of (await cluster.pods(system, 'app=wishbone-node')).filter(isReady)) {
    const metrics = await cluster.fetch(pod, 15_030, '/metrics')
    held[pod.metadata.name] = {
      descriptors: sumOf(metrics, 'process_open_fds'),
      pods: sumOf(metrics, 'wishbone_node_pods'),
    }
  }
  return held
}

/**
 * A footprint that has not changed for 3 s: connections of a moment ago are closed. Pods of earlier scenes go first; a busy machine
 * takes longer than that for some of them.
 */
export async function settledFootprint(cluster: Cluster): Promise<Footprint> {
  await until(
    'namespaces of earlier scenes to be gone',
    async () => {
      const names = (await cluster.list('namespaces')).filter(isLeaving).map(({ metadata }) => metadata.name)
      const leaving = names.filter((name) => name.startsWith('e2e-'))
      return leaving.length === 0 || Promise.reject(new Error(leaving.join(', ')))
    },
    180_000,
  )
  let last = ''
  let since = Date.now()
  return until(
    'the mesh to come to rest',
    async () => {
      const now = await footprint(cluster)
      const text = JSON.stringify(now)
      if (text !== last) since = Date.now()
      last = text
      return Date.now() - since > 3_000 && now
    },
    120_000,
  )
}

/** What is held now and was not before; a few descriptors come and go with the configuration stream and its timers. */
export function leaked(before: Footprint, after: Footprint): string[] {
  const found: string[] = []
  for (const [name, then] of Object.entries(before)) {
    const now = after[name]
    if (!now) {
      found.push(`${name} was replaced meanwhile, so that nothing can be said about it`)
      continue
    }
    if (now.descriptors > then.descriptors + 4)
      found.push(`${name}: ${then.descriptors} descriptors, now ${now.descriptors}`)
    if (now.pods !== then.pods) found.push(`${name}: ${then.pods} pods, now ${now.pods}`)
    if ((now.certificates ?? 0) > (then.certificates ?? 0))
      found.push(`${name}: ${then.certificates} certificates, now ${now.certificates}`)
  }
  return found
}

/** Waits until nothing more is held than before; what is still held after a minute. */
export async function leaksAfterAMinute(cluster: Cluster, before: Footprint): Promise<readonly string[]> {
  let left: readonly string[] = []
  await until('everything to be released', async () => {
    left = leaked(before, await footprint(cluster))
    return left.length === 0
  }).catch(() => undefined)
  return left
}
