// What a person looks at first when a scene differed: pods that are not ready, and the last warnings.
import { type Cluster, isReady, type PodObject } from '@wishbone/testing/cluster'

interface EventObject {
  readonly type?: string
  readonly reason?: string
  readonly message?: string
  readonly lastTimestamp?: string
  readonly eventTime?: string
  readonly involvedObject?: { readonly kind: string; readonly namespace?: string; readonly name: string }
}

interface Waiting {
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
}

function whyNot(pod: PodObject): string {
  const waiting = (pod.status?.containerStatuses ?? []).map((status) => (status as Waiting).state?.waiting?.reason)
  return [pod.status?.phase, ...waiting].filter(Boolean).join(', ')
}

/** Lines; empty when nothing is striking. */
export async function striking(cluster: Cluster, namespaces: readonly string[], since: Date): Promise<string[]> {
  const lines: string[] = []
  for (const namespace of namespaces) {
    for (const pod of await cluster.pods(namespace, '')) {
      if (pod.status?.phase === 'Succeeded' || isReady(pod)) continue
      lines.push(`pod ${namespace}/${pod.metadata.name} is not ready: ${whyNot(pod)}`)
    }
    const events = (await cluster.list('events', namespace)) as unknown as readonly EventObject[]
    const late = events.filter(
      (event) => event.type === 'Warning' && new Date(event.lastTimestamp ?? event.eventTime ?? 0) >= since,
    )
    for (const { involvedObject: object, reason, message } of late.slice(-5))
      lines.push(`event ${object?.kind} ${namespace}/${object?.name}: ${reason}: ${message?.slice(0, 300)}`)
  }
  return lines
}
