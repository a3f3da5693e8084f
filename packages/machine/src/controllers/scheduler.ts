// Gives each pod a node: the one with the fewest pods among those that its nodeSelector allows.
import { keyOf, randomSuffix, splitKey, timestamp } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Context, createQueue } from './context.ts'
import { isActive } from './pods.ts'

export function startScheduler(context: Context): void {
  const { client, mirrors } = context
  // Placed here and not seen back yet.
  const placed = new Map<string, string>()
  const enqueue = createQueue(context, 'scheduling', async (key) => {
    const [namespace, name] = splitKey(key)
    const pod = mirrors.pods.get(namespace, name)
    if (!pod || pod.spec.nodeName || placed.has(pod.metadata.uid ?? '')) return
    const selector = Object.entries(pod.spec.nodeSelector ?? {})
    const nodes = [...mirrors.nodes.all()].filter((node) =>
      selector.every(([label, value]) => node.metadata.labels?.[label] === value),
    )
    if (nodes.length === 0) {
      const message = `0/${[...mirrors.nodes.all()].length} nodes match the nodeSelector ${JSON.stringify(pod.spec.nodeSelector)}`
      const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }]
      if (pod.status?.conditions?.some((condition) => condition.message === message)) return
      await client.patch(resources.pods, namespace, name, { status: { phase: 'Pending', conditions } }, 'status')
      await client.create(resources.events, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${name}.${randomSuffix(10)}`, namespace },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid: pod.metadata.uid },
        reason: 'FailedScheduling',
        message,
        type: 'Warning',
        source: { component: 'scheduler' },
        firstTimestamp: timestamp(),
        lastTimestamp: timestamp(),
        count: 1,
      } as never)
      return
    }
    const load = new Map(nodes.map((node) => [node.metadata.name, 0]))
    const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller)?.uid
    for (const other of mirrors.pods.all()) {
      const node = other.spec.nodeName ?? placed.get(other.metadata.uid ?? '')
      if (node === undefined || !load.has(node) || !isActive(other)) continue
      // Pods of the same set spread first.
      const sibling =
        owner !== undefined && other.metadata.ownerReferences?.some((reference) => reference.uid === owner)
      load.set(node, (load.get(node) ?? 0) + (sibling ? 1_000 : 1))
    }
    const [node] = [...load].sort((a, b) => a[1] - b[1] || a[0].localeCompare(b[0]))[0]!
    placed.set(pod.metadata.uid ?? '', node)
    try {
      await client.patch(resources.pods, namespace, name, { spec: { nodeName: node } })
    } catch (cause) {
      placed.delete(pod.metadata.uid ?? '')
      throw cause
    }
  })
  mirrors.pods.onChange((now, before) => {
    if (now && !now.spec.nodeName) enqueue(keyOf(now))
    else placed.delete((now ?? before)?.metadata.uid ?? '')
  })
  mirrors.nodes.onChange(() => {
    for (const pod of mirrors.pods.all()) if (!pod.spec.nodeName) enqueue(keyOf(pod))
  })
  for (const pod of mirrors.pods.all()) if (!pod.spec.nodeName) enqueue(keyOf(pod))
}
