// StatefulSets (pods with names, one after the other) and DaemonSets (one pod a node).
import { resources } from '../client/api.ts'
import { type Pod, podIsOver, podIsReady, type Workload } from '../types.ts'
import { type Context, createQueue, keyOf, ownedBy, splitKey, watchOwned } from './context.ts'
import { podFrom, sameFields, templateHash } from './pods.ts'

const hashLabel = 'controller-revision-hash'

/** Pods of an earlier template, or that have ended, make room for new ones; one at a time where `gently`. */
async function removeStale(context: Context, pods: readonly Pod[], hash: string, gently: boolean): Promise<void> {
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp || (!podIsOver(pod) && pod.metadata.labels?.[hashLabel] === hash)) continue
    await context.client.remove(resources.pods, pod.metadata.namespace, pod.metadata.name)
    if (gently) return
  }
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
    if (allReady) await removeStale(context, pods, hash, true)
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

function matchesNode(set: Workload, labels: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(set.spec.template.spec.nodeSelector ?? {}).every(([key, value]) => labels?.[key] === value)
}

export function startDaemonSets(context: Context): void {
  const { client, mirrors } = context
  const expected = new Map<string, string>()
  const enqueue = createQueue(context, 'DaemonSet', async (key) => {
    const [namespace, name] = splitKey(key)
    const set = mirrors.daemonSets.get(namespace, name)
    if (!set || set.metadata.deletionTimestamp) return
    const hash = templateHash(set.spec.template)
    const pods = ownedBy(mirrors.pods, set)
    const nodes = [...mirrors.nodes.all()].filter((node) => matchesNode(set, node.metadata.labels))
    for (const node of nodes) {
      const there = pods.some((pod) => pod.spec.nodeName === node.metadata.name)
      const slot = `${set.metadata.uid}@${node.metadata.name}`
      if (there) expected.delete(slot)
      if (there || expected.has(slot)) continue
      const pod = podFrom(set, { nodeName: node.metadata.name, labels: { [hashLabel]: hash } })
      expected.set(slot, pod.metadata.name)
      try {
        await client.create(resources.pods, pod)
      } catch (cause) {
        expected.delete(slot)
        throw cause
      }
    }
    for (const pod of pods) {
      if (!nodes.some((node) => node.metadata.name === pod.spec.nodeName))
        await client.remove(resources.pods, namespace, pod.metadata.name)
    }
    if (pods.filter((pod) => !podIsOver(pod)).every(podIsReady)) await removeStale(context, pods, hash, true)
    const ready = pods.filter(podIsReady).length
    const status = {
      observedGeneration: set.metadata.generation ?? 1,
      desiredNumberScheduled: nodes.length,
      currentNumberScheduled: pods.length,
      updatedNumberScheduled: pods.filter((pod) => pod.metadata.labels?.[hashLabel] === hash).length,
      numberReady: ready,
      numberAvailable: ready,
      numberMisscheduled: 0,
    }
    if (!sameFields(set.status, status)) await client.patch(resources.daemonSets, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.daemonSets, mirrors.pods, 'DaemonSet', enqueue)
  mirrors.nodes.onChange(() => {
    for (const set of mirrors.daemonSets.all()) enqueue(keyOf(set))
  })
}
