// Tells what is wrong with objects by Events; only ever called on the leader. Each is told once, and again while it lasts
// and the API server may have forgotten it. What passes at once (a label that comes before its Gateway) is not told.
import { stableHash } from '@wishbone/core/result'
import { isStatus, type KubeClient } from '@wishbone/runtime/kube'
import { inParallel } from '@wishbone/runtime/lifecycle'
import type { EventOf } from '../model/index.ts'
import type { WriteResult } from '../status/index.ts'

export interface EventWriterOptions {
  readonly client: KubeClient
  /** This replica's name. */
  readonly instance: string
  readonly clock?: () => number
}

const lastsMs = 3_000
/** API servers keep events for an hour unless told otherwise. */
const againMs = 50 * 60_000
/** One broken manifest may concern thousands of pods. */
const maxAtOnce = 100
const nextRoundMs = 100

interface Told {
  readonly sinceMs: number
  toldMs: number | undefined
  /** The last try was refused. */
  failed: boolean
}

export class EventWriter {
  readonly #options: EventWriterOptions
  readonly #known = new Map<string, Told>()

  constructor(options: EventWriterOptions) {
    this.#options = options
  }

  /** `laterMs`: when to call again though nothing has changed. */
  async write(
    events: readonly EventOf[],
    signal: AbortSignal,
  ): Promise<WriteResult & { readonly laterMs: number | undefined }> {
    const now = (this.#options.clock ?? Date.now)()
    const wanted = new Map(events.map((event) => [keyOf(event), event]))
    for (const key of this.#known.keys()) if (!wanted.has(key)) this.#known.delete(key)
    const ripe: (readonly [string, EventOf, Told])[] = []
    let laterMs: number | undefined
    for (const [key, event] of wanted) {
      const known = this.#known.get(key) ?? { sinceMs: now, toldMs: undefined, failed: false }
      this.#known.set(key, known)
      const waitMs = known.toldMs === undefined ? known.sinceMs + lastsMs - now : known.toldMs + againMs - now
      if (waitMs <= 0) ripe.push([key, event, known])
      else if (known.toldMs === undefined) laterMs = Math.min(laterMs ?? waitMs, Math.max(nextRoundMs, waitMs))
    }
    // What was refused waits for the rest: a namespace that is being deleted, for one, refuses for as long as it is there.
    ripe.sort(([, , a], [, , b]) => Number(a.failed) - Number(b.failed))
    const result = { written: 0, failed: 0 }
    await inParallel(ripe.slice(0, maxAtOnce), 4, async ([key, event, known]) => {
      if (signal.aborted) return
      try {
        await this.#tell(key, event, now, signal)
        result.written++
      } catch {
        // Events are a courtesy: the next round tries again.
        result.failed++
        known.failed = true
        return
      }
      known.toldMs = now
      known.failed = false
    })
    // A round that nothing was tried in vain for; else the caller pauses for what has failed.
    const next = ripe[maxAtOnce]?.[2]
    if (next !== undefined && (!next.failed || result.failed === 0)) laterMs = nextRoundMs
    return { ...result, laterMs }
  }

  async #tell(key: string, { object, reason, message }: EventOf, now: number, signal: AbortSignal): Promise<void> {
    const { client, instance } = this.#options
    const time = `${new Date(now).toISOString().slice(0, 19)}Z`
    // Events about what is in no namespace are kept in this one.
    const namespace = object.namespace === '' ? 'default' : object.namespace
    const name = `${object.name.slice(0, 200)}.${key}`
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: object,
      type: 'Warning',
      reason,
      message: message.slice(0, 1024),
      source: { component: 'wishbone-controller' },
      reportingComponent: 'wishbone.dev/controller',
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    }
    try {
      await client.request('POST', path, { body, signal })
    } catch (cause) {
      if (!isStatus(cause, 409)) throw cause
      // Told before, by this replica or another.
      await client.request('PATCH', `${path}/${encodeURIComponent(name)}`, {
        body: { lastTimestamp: time },
        patch: 'merge',
        signal,
      })
    }
  }
}

function keyOf({ object, reason, message }: EventOf): string {
  return stableHash({ object, reason, message }).slice(0, 16)
}
