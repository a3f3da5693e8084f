// What the controllers share: mirrors of the cluster, a client to change it, and a loop that reconciles one key at a time.

import { isStatus } from '@wishbone/runtime/kube'
import { delay } from '@wishbone/runtime/lifecycle'
import { type KubeObject, keyOf } from '../api/objects/object.ts'
import { type ApiClient, resources } from '../client/api.ts'
import { type Mirror, startMirror } from '../client/mirror.ts'
import type { EndpointSlice, NodeObject, Pod, Service, Workload } from '../types.ts'

export interface Mirrors {
  readonly namespaces: Mirror<KubeObject>
  readonly nodes: Mirror<NodeObject>
  readonly pods: Mirror<Pod>
  readonly services: Mirror<Service>
  readonly endpointSlices: Mirror<EndpointSlice>
  readonly secrets: Mirror<KubeObject>
  readonly configMaps: Mirror<KubeObject>
  readonly serviceAccounts: Mirror<KubeObject>
  readonly deployments: Mirror<Workload>
  readonly replicaSets: Mirror<Workload>
  readonly statefulSets: Mirror<Workload>
  readonly daemonSets: Mirror<Workload>
  readonly jobs: Mirror<Workload>
}

export interface Context {
  readonly client: ApiClient
  readonly mirrors: Mirrors
  readonly signal: AbortSignal
  readonly log: (text: string) => void
}

export async function startMirrors(client: ApiClient, signal: AbortSignal): Promise<Mirrors> {
  const mirrors: Mirrors = {
    namespaces: startMirror(client, resources.namespaces, signal),
    nodes: startMirror(client, resources.nodes, signal),
    pods: startMirror(client, resources.pods, signal),
    services: startMirror(client, resources.services, signal),
    endpointSlices: startMirror(client, resources.endpointSlices, signal),
    secrets: startMirror(client, resources.secrets, signal),
    configMaps: startMirror(client, resources.configMaps, signal),
    serviceAccounts: startMirror(client, resources.serviceAccounts, signal),
    deployments: startMirror(client, resources.deployments, signal),
    replicaSets: startMirror(client, resources.replicaSets, signal),
    statefulSets: startMirror(client, resources.statefulSets, signal),
    daemonSets: startMirror(client, resources.daemonSets, signal),
    jobs: startMirror(client, resources.jobs, signal),
  }
  await Promise.all(Object.values(mirrors).map((mirror: Mirror<KubeObject>) => mirror.synced))
  return mirrors
}

/**
 * Reconciles keys one at a time each, again when they were queued meanwhile, and again with back-off when it failed.
 * A failure of one key never holds up another.
 */
export function createQueue(
  context: Context,
  name: string,
  reconcile: (key: string) => Promise<void>,
): (key: string) => void {
  const pending = new Set<string>()
  const running = new Set<string>()
  const failures = new Map<string, number>()
  const run = async (key: string): Promise<void> => {
    running.add(key)
    pending.delete(key)
    try {
      await reconcile(key)
      failures.delete(key)
    } catch (cause) {
      if (context.signal.aborted) return
      const count = (failures.get(key) ?? 0) + 1
      failures.set(key, count)
      // A conflict or a thing just deleted resolves itself with the next event.
      const expected = isStatus(cause, 409) || isStatus(cause, 404)
      if (!expected || count > 5) context.log(`${name} ${key}: ${(cause as Error).message}`)
      pending.add(key)
      await delay(Math.min(20 * 2 ** count, 5_000))
    } finally {
      running.delete(key)
    }
    if (pending.has(key) && !context.signal.aborted) void run(key)
  }
  return (key) => {
    if (context.signal.aborted || pending.has(key)) return
    pending.add(key)
    if (!running.has(key)) queueMicrotask(() => pending.has(key) && !running.has(key) && void run(key))
  }
}

/** Queues a workload for its own changes and for those of the objects that it owns. */
export function watchOwned(
  own: Mirror<Workload>,
  owned: Mirror<KubeObject>,
  kind: string,
  enqueue: (key: string) => void,
): void {
  own.onChange((now, before) => enqueue(keyOf((now ?? before)!)))
  owned.onChange((now, before) => {
    const object = (now ?? before)!
    const owner = object.metadata.ownerReferences?.find((reference) => reference.controller && reference.kind === kind)
    if (owner) enqueue(`${object.metadata.namespace}/${owner.name}`)
  })
  for (const object of own.all()) enqueue(keyOf(object))
}

export function ownedBy<T extends KubeObject>(owned: Mirror<T>, owner: KubeObject): T[] {
  const found: T[] = []
  for (const object of owned.all()) {
    if (
      object.metadata.ownerReferences?.some((reference) => reference.controller && reference.uid === owner.metadata.uid)
    )
      found.push(object)
  }
  return found
}
