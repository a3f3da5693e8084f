// As many pods as a ReplicaSet asks for.
import { splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { podIsReady } from '../types.ts'
import { type Context, createQueue, ownedBy, watchOwned } from './context.ts'
import { byExpendability, isActive, podFrom, sameFields } from './pods.ts'

export function startReplicaSets(context: Context): void {
  const { client, mirrors } = context
  // Pods that were asked for and have not shown up in the mirror yet.
  const expected = new Map<string, Set<string>>()
  const enqueue = createQueue(context, 'ReplicaSet', async (key) => {
    const [namespace, name] = splitKey(key)
    const set = mirrors.replicaSets.get(namespace, name)
    if (!set || set.metadata.deletionTimestamp) return void expected.delete(key)
    const pods = ownedBy(mirrors.pods, set)
    const awaited = expected.get(key) ?? new Set<string>()
    expected.set(key, awaited)
    for (const pod of pods) awaited.delete(pod.metadata.name)
    const active = pods.filter(isActive)
    const wanted = set.spec.replicas ?? 1
    for (let count = active.length + awaited.size; count < wanted; count++) {
      const pod = podFrom(set)
      awaited.add(pod.metadata.name)
      try {
        await client.create(resources.pods, pod)
      } catch (cause) {
        awaited.delete(pod.metadata.name)
        throw cause
      }
    }
    if (awaited.size === 0) {
      for (const pod of active.sort(byExpendability).slice(0, Math.max(0, active.length - wanted))) {
        await client.remove(resources.pods, namespace, pod.metadata.name)
      }
    }
    const ready = active.filter(podIsReady).length
    const status = {
      replicas: active.length,
      readyReplicas: ready,
      availableReplicas: ready,
      observedGeneration: set.metadata.generation ?? 1,
    }
    if (!sameFields(set.status, status))
      await client.patch(resources.replicaSets, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.replicaSets, mirrors.pods, 'ReplicaSet', enqueue)
}
