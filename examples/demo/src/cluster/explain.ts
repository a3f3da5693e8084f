// What a person looks at first when a scene differed: pods that are not ready, and the last warnings.
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeClient } from '@wishbone/cli'
import { type Cluster, isReady, type PodObject } from '@wishbone/testing/cluster'

interface EventObject {
  readonly metadata: { readonly uid?: string; readonly resourceVersion?: string }
  readonly reason?: string
  readonly message?: string
  readonly lastTimestamp?: string
  readonly eventTime?: string
  readonly involvedObject?: { readonly kind: string; readonly namespace?: string; readonly name: string }
}

interface Waiting {
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
}

export interface Warnings extends Disposable {
  /** Lines, oldest first; the last twenty. */
  since(start: Date): readonly string[]
}

const shown = 20

/** Follows the warnings of all namespaces from now on: a scene's own namespaces, and all that they hold, end with the scene. */
export function followWarnings(client: KubeClient): Warnings {
  const seen = new Map<string, { readonly at: Date; readonly line: string }>()
  let ended = false
  let end: () => void = () => {}
  const follow = async (): Promise<void> => {
    const stream = await client.stream('/api/v1/events?watch=true&fieldSelector=type%3DWarning')
    end = () => stream.destroy()
    if (ended) end()
    for await (const line of createInterface({ input: stream })) {
      const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: EventObject }
      if (type !== 'ADDED' && type !== 'MODIFIED') continue
      const { metadata, involvedObject: about, reason, message } = object
      const at = new Date(object.lastTimestamp ?? object.eventTime ?? 0)
      const what = `${about?.kind} ${about?.namespace ?? ''}/${about?.name}: ${reason}: ${message?.slice(0, 300)}`
      seen.set(`${metadata.uid}/${metadata.resourceVersion}`, { at, line: `event ${at.toISOString()} ${what}` })
    }
  }
  void (async () => {
    while (!ended) {
      await follow().catch(() => undefined)
      await delay(1_000)
    }
  })()
  return {
    // Events tell whole seconds.
    since: (start) =>
      [...seen.values()]
        .filter(({ at }) => at.getTime() > start.getTime() - 1_000)
        .slice(-shown)
        .map(({ line }) => line),
    [Symbol.dispose]() {
      ended = true
      end()
    },
  }
}

function whyNot(pod: PodObject): string {
  const waiting = (pod.status?.containerStatuses ?? []).map((status) => (status as Waiting).state?.waiting?.reason)
  return [pod.status?.phase, ...waiting].filter(Boolean).join(', ')
}

/** Lines; empty when every pod is ready. */
export async function notReady(cluster: Cluster, namespaces: readonly string[]): Promise<string[]> {
  const pods = (await Promise.all(namespaces.map((namespace) => cluster.pods(namespace, '')))).flat()
  return pods
    .filter((pod) => pod.status?.phase !== 'Succeeded' && !isReady(pod))
    .map((pod) => `pod ${pod.metadata.namespace}/${pod.metadata.name} is not ready: ${whyNot(pod)}`)
}
