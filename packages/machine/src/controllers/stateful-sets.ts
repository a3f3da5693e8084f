// StatefulSets: pods with names, one after the other.
import { splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Pod, podIsOver, podIsReady } from '../types.ts'
import { type Context, createQueue, ownedBy, watchOwned } from './context.ts'
import { podFrom, sameFields, templateHash } from './pods.ts'

const hashLabel = 'controller-revision-hash'

/** One pod of an earlier template, or that has ended, makes room for a new one. */
async function removeStale(context: Context, pods: readonly Pod[], hash: string): Promise<void> {
  const stale = pods.find(
    (pod) => !pod.metadata.deletionTimestamp && (podIsOver(pod) || pod.metadata.labels?.[hashLabel] !== hash),
  )
  if (stale) await context.client.remove(resources.pods, stale.metadata.namespace, stale.metadata.name)
}

export function startStatefulSets(context: Context): void {
  const { client, mirrors } = context
  const enqueue = createQueue(context, 'StatefulSet', async (key) => {
    const [namespace, name] = splitKey(key)
    const set = mirrors.statefulSets.get(namespace, name)
    if (!set || set.metadata.deletionTimestamp) return
    const hash = templateHash(set.spec.template)
    const pods = ownedBy(mirrors.pods, set)
    const wanted = set.spec.replicas ?? 1
    const byName = new Map(pods.map((pod) => [pod.metadata.name, pod]))
    const allReady = pods.every(podIsReady)
    for (let index = 0; index < wanted; index++) {
      const podName = `${name}-${index}`
      const pod = byName.get(podName)
      if (!pod) {
        const labels = {
          [hashLabel]: hash,
          'statefulset.kubernetes.io/pod-name': podName,
          'apps.kubernetes.io/pod-index': String(index),
        }
        await client.create(
          resources.pods,
          podFrom(set, {
            name: podName,
            hostname: podName,
            labels,
            ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}),
          }),
        )
        break
      }
      if (!podIsReady(pod)) break
    }
    for (let index = pods.length - 1; index >= 0; index--) {
      const pod = pods[index]!
      if (Number(pod.metadata.name.slice(name.length + 1)) >= wanted && !pod.metadata.deletionTimestamp) {
        await client.remove(resources.pods, namespace, pod.metadata.name)
      }
    }
    if (allReady) await removeStale(context, pods, hash)
    const ready = pods.filter(podIsReady).length
    const status = {
      observedGeneration: set.metadata.generation ?? 1,
      replicas: pods.length,
      readyReplicas: ready,
      availableReplicas: ready,
      currentReplicas: pods.length,
    }
    if (!sameFields(set.status, status))
      await client.patch(resources.statefulSets, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.statefulSets, mirrors.pods, 'StatefulSet', enqueue)
}
