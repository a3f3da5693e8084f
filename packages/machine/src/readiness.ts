// When the machine is ready: the programs of the mesh, and then every pod that the folders asked for.
import { setTimeout as delay } from 'node:timers/promises'
import type { Mirrors } from './controllers/index.ts'
import { type Pod, podIsOver, podIsReady } from './types.ts'

export interface Waiting {
  readonly ready: number
  readonly total: number
  readonly names: readonly string[]
}

/** Pods that are neither ready nor over, and workloads whose pods are not there yet. Pods that can never start count as settled. */
export function waitingFor(mirrors: Mirrors): Waiting {
  const names: string[] = []
  let total = 0
  let ready = 0
  for (const pod of mirrors.pods.all()) {
    total++
    if (podIsReady(pod) || podIsOver(pod) || isHopeless(pod)) ready++
    else names.push(`${pod.metadata.namespace}/${pod.metadata.name}`)
  }
  for (const mirror of [mirrors.deployments, mirrors.statefulSets, mirrors.daemonSets]) {
    for (const workload of mirror.all()) {
      if (workload.status?.['observedGeneration'] !== workload.metadata.generation)
        names.push(`${workload.metadata.namespace}/${workload.metadata.name}`)
    }
  }
  return { ready, total, names }
}

function isHopeless(pod: Pod): boolean {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]
  return statuses.some((status) =>
    ['ImageNotMapped', 'CrashLoopBackOff', 'RunAsUserNotPossible', 'CreateContainerConfigError'].includes(
      status.state.waiting?.reason ?? '',
    ),
  )
}

/** Resolves when nothing is waited for any more; gives up after `timeoutMs` and says what is missing. */
export async function untilSettled(
  mirrors: Mirrors,
  timeoutMs: number,
  progress: (waiting: Waiting) => void,
): Promise<readonly string[]> {
  const end = Date.now() + timeoutMs
  let last = ''
  for (;;) {
    const waiting = waitingFor(mirrors)
    if (waiting.names.length === 0 && waiting.total > 0) return []
    const text = `${waiting.ready}/${waiting.total}`
    if (text !== last) progress(waiting)
    last = text
    if (Date.now() > end) return waiting.names
    await delay(25)
  }
}
