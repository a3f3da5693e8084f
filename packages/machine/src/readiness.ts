// When the machine is ready: the programs of the mesh, and then every pod that the folders asked for.
import { delay } from '@wishbone/runtime/lifecycle'
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
  return statuses.some(
    (status) =>
      // A container that comes and goes.
      status.restartCount > 1 ||
      ['ImageNotMapped', 'CrashLoopBackOff', 'RunAsUserNotPossible', 'CreateContainerConfigError'].includes(
        status.state.waiting?.reason ?? '',
      ),
  )
}

/** A pod that is waited for, with the reason that its status gives. Pure. */
export function whyNotReady(mirrors: Mirrors, name: string): string {
  const slash = name.indexOf('/')
  const pod = mirrors.pods.get(name.slice(0, slash), name.slice(slash + 1))
  const statuses = [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])]
  const waiting = statuses.map((status) => status.state.waiting).find((state) => state?.message)
  const unscheduled = pod?.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False')
  const reason = waiting
    ? `${waiting.reason}: ${waiting.message}`
    : unscheduled
      ? `${unscheduled.reason}: ${unscheduled.message}`
      : 'its probes do not pass yet'
  return pod ? `pod ${name}: ${reason}` : `${name} has no pods yet`
}

export interface Patience {
  /** In all, milliseconds. */
  readonly allMs: number
  /** While nothing changes and the programs of the mesh are ready, milliseconds. */
  readonly standstillMs: number
}

/** Resolves when nothing is waited for any more, or patience ends; then with what is missing and why. */
export async function untilSettled(
  mirrors: Mirrors,
  patience: Patience,
  progress: (waiting: Waiting) => void,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const end = Date.now() + patience.allMs
  let total = 0
  let best = 0
  let changed = Date.now()
  while (!signal.aborted) {
    const waiting = waitingFor(mirrors)
    if (waiting.names.length === 0 && waiting.total > 0) return []
    if (waiting.total !== total || waiting.ready > best) {
      progress(waiting)
      changed = Date.now()
      best = waiting.ready
    }
    total = waiting.total
    const stands =
      Date.now() - changed > patience.standstillMs && !waiting.names.some((name) => name.startsWith('wishbone-system/'))
    if (stands || Date.now() > end) return waiting.names.map((name) => whyNotReady(mirrors, name))
    await delay(25)
  }
  return []
}
