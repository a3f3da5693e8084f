// DaemonSets: one pod a node; a new template takes over node by node, as Kubernetes' rolling update does.
import { keyOf, splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Pod, podIsOver, podIsReady, type Workload } from '../types.ts'
import { type Context, createQueue, ownedBy, watchOwned } from './context.ts'
import { podFrom, sameFields, templateHash } from './pods.ts'

const hashLabel = 'controller-revision-hash'

export interface RollingLimits {
  /** Nodes that may have the old pod and a new one at once; above 0 an old pod goes when the new one is ready. */
  readonly maxSurge: number
  /** Nodes that may be without a ready pod. */
  readonly maxUnavailable: number
  /** Old pods stay until somebody deletes them (updateStrategy OnDelete). */
  readonly onDelete: boolean
}

export interface DaemonPlan {
  /** Nodes that get a pod of the present template. */
  readonly create: readonly string[]
  readonly remove: readonly Pod[]
}

/**
 * What to do next. `awaited` are nodes for which a pod was made that is not among `pods` yet. Pods that are being deleted hold
 * their node's place until they are gone, but for one that surges. Pure.
 */
export function planDaemonSet(
  nodes: readonly string[],
  pods: readonly Pod[],
  hash: string,
  limits: RollingLimits,
  awaited: ReadonlySet<string>,
): DaemonPlan {
  const create: string[] = []
  const remove = pods.filter((pod) => !pod.metadata.deletionTimestamp && !nodes.includes(pod.spec.nodeName ?? ''))
  const candidates: { readonly node: string; readonly pod: Pod }[] = []
  let surging = 0
  let unavailable = 0
  for (const node of nodes) {
    const present = pods.filter((pod) => pod.spec.nodeName === node)
    const active = present.filter((pod) => !pod.metadata.deletionTimestamp)
    remove.push(...active.filter(podIsOver))
    const running = active.filter((pod) => !podIsOver(pod))
    const [fresh, ...surplus] = running.filter((pod) => pod.metadata.labels?.[hashLabel] === hash)
    const [old, ...older] = running.filter((pod) => pod.metadata.labels?.[hashLabel] !== hash)
    remove.push(...surplus, ...older)
    if (awaited.has(node)) {
      unavailable++
      if (old !== undefined) surging++
    } else if (fresh !== undefined) {
      if (!podIsReady(fresh)) unavailable++
      if (old === undefined) continue
      if (podIsReady(fresh)) remove.push(old)
      else surging++
    } else if (old === undefined) {
      unavailable++
      if (present.length === 0) create.push(node)
    } else if (limits.onDelete) {
      if (!podIsReady(old)) unavailable++
    } else if (podIsReady(old)) candidates.push({ node, pod: old })
    else if (limits.maxSurge > 0) create.push(node)
    else {
      unavailable++
      remove.push(old)
    }
  }
  const room = limits.maxSurge > 0 ? limits.maxSurge - surging : limits.maxUnavailable - unavailable
  for (const { node, pod } of candidates.slice(0, Math.max(0, room))) {
    if (limits.maxSurge > 0) create.push(node)
    else remove.push(pod)
  }
  return { create, remove }
}

/** A number, or percents of the nodes, rounded up. */
function share(value: number | string | undefined, nodes: number, otherwise: number): number {
  if (typeof value !== 'string') return value ?? otherwise
  return Math.ceil((Number.parseFloat(value) / 100) * nodes)
}

function limitsOf(set: Workload, nodes: number): RollingLimits {
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {}
  const maxSurge = share(rollingUpdate?.maxSurge, nodes, 0)
  const maxUnavailable = share(rollingUpdate?.maxUnavailable, nodes, 1)
  return {
    maxSurge,
    maxUnavailable: maxSurge === 0 ? Math.max(1, maxUnavailable) : maxUnavailable,
    onDelete: type === 'OnDelete',
  }
}

function matchesNode(set: Workload, labels: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(set.spec.template.spec.nodeSelector ?? {}).every(([key, value]) => labels?.[key] === value)
}

export function startDaemonSets(context: Context): void {
  const { client, mirrors } = context
  /** Per DaemonSet: pods that were made and that the mirror has not shown yet, with their nodes. */
  const made = new Map<string, Map<string, string>>()
  const enqueue = createQueue(context, 'DaemonSet', async (key) => {
    const [namespace, name] = splitKey(key)
    const set = mirrors.daemonSets.get(namespace, name)
    if (!set || set.metadata.deletionTimestamp) return void made.delete(key)
    const hash = templateHash(set.spec.template)
    const pods = ownedBy(mirrors.pods, set)
    const waiting = made.get(key) ?? new Map<string, string>()
    made.set(key, waiting)
    for (const pod of pods) waiting.delete(pod.metadata.name)
    const nodes = [...mirrors.nodes.all()]
      .filter((node) => matchesNode(set, node.metadata.labels))
      .map((node) => node.metadata.name)
    const plan = planDaemonSet(nodes, pods, hash, limitsOf(set, nodes.length), new Set(waiting.values()))
    for (const nodeName of plan.create) {
      const pod = podFrom(set, { nodeName, labels: { [hashLabel]: hash } })
      waiting.set(pod.metadata.name, nodeName)
      try {
        await client.create(resources.pods, pod)
      } catch (cause) {
        waiting.delete(pod.metadata.name)
        throw cause
      }
    }
    for (const pod of plan.remove) await client.remove(resources.pods, namespace, pod.metadata.name)
    const ready = new Set(pods.filter(podIsReady).map((pod) => pod.spec.nodeName)).size
    const current = pods.filter((pod) => !pod.metadata.deletionTimestamp)
    const updated = current.filter((pod) => pod.metadata.labels?.[hashLabel] === hash)
    const status = {
      observedGeneration: set.metadata.generation ?? 1,
      desiredNumberScheduled: nodes.length,
      currentNumberScheduled: new Set(current.map((pod) => pod.spec.nodeName)).size,
      updatedNumberScheduled: updated.length,
      numberReady: ready,
      numberAvailable: ready,
      numberUnavailable: Math.max(0, nodes.length - ready),
      numberMisscheduled: 0,
    }
    if (!sameFields(set.status, status)) await client.patch(resources.daemonSets, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.daemonSets, mirrors.pods, 'DaemonSet', enqueue)
  mirrors.nodes.onChange(() => {
    for (const set of mirrors.daemonSets.all()) enqueue(keyOf(set))
  })
}
