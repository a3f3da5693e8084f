// Writes wanted statuses to the API; only ever called on the leader. What it does for one object never stops another.
import { stableHash } from '@wishbone/core/result'
import { isStatus, type KubeClient, type KubeObject, resourcePath } from '@wishbone/runtime/kube'
import { delay, inParallel } from '@wishbone/runtime/lifecycle'
import { kindOf, watchedNameOf } from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import { type Log, messageOf } from '../log.ts'
import type { StatusOf } from '../model/index.ts'
import { mergeStatus, unknownConditions } from './merge.ts'

export const fieldManager = 'wishbone.dev/controller'

export interface WriteResult {
  readonly written: number
  /** Objects whose write failed for a reason that may pass. */
  readonly failed: number
}

export interface StatusWriterOptions {
  readonly client: KubeClient
  readonly store: Pick<Store, 'get'>
  readonly log: Log
  readonly clock?: () => number
}

/** An object as the store showed it when it said all that was wanted, and what that was. */
interface Settled {
  readonly live: KubeObject
  readonly wanted: string
}

/** What was sent last for an object, so that a store that lags behind does not make it be sent again. */
interface Sent {
  readonly hash: string
  readonly basedOn: string
  readonly version: string
  /** How often in a row it was sent because it was not there any more, and when the last time was. */
  readonly undone: number
  readonly atMs: number
}

const attempts = 5

/** Two controllers that each put theirs back at once would do nothing else: after some times ours waits. */
function pauseMs(undone: number): number {
  return undone <= 5 ? 0 : Math.min(60_000, 500 * 2 ** (undone - 5))
}

/** Longer than the longest pause. */
const forgetMs = 180_000

export class StatusWriter {
  readonly #options: StatusWriterOptions
  readonly #sent = new Map<string, Sent>()
  readonly #settled = new Map<string, Settled>()
  readonly #complaints = new Map<string, string>()

  constructor(options: StatusWriterOptions) {
    this.#options = options
  }

  /** Forgets what was written: another replica may have been the leader meanwhile. */
  reset(): void {
    this.#sent.clear()
    this.#settled.clear()
  }

  /** `laterMs`: after this time what somebody undoes is to be put back. */
  async write(
    statuses: readonly StatusOf[],
    signal: AbortSignal,
  ): Promise<WriteResult & { readonly laterMs: number | undefined }> {
    let written = 0
    let failed = 0
    let laterMs: number | undefined
    const keys = new Set<string>()
    await inParallel(statuses, 8, async (wanted) => {
      const key = `${wanted.apiVersion}/${wanted.kind}/${wanted.namespace}/${wanted.name}`
      keys.add(key)
      if (signal.aborted) return
      try {
        const outcome = await this.#writeOne(key, wanted, signal)
        if (typeof outcome === 'number') {
          laterMs = Math.min(outcome, laterMs ?? outcome)
          return
        }
        if (outcome) written++
        this.#complaints.delete(key)
      } catch (cause) {
        failed++
        this.#complain(key, messageOf(cause))
      }
    })
    for (const known of [this.#sent, this.#settled, this.#complaints])
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key)
    return { written, failed, laterMs }
  }

  /** Whether it was written, or after how many milliseconds it is to be. */
  async #writeOne(key: string, wanted: StatusOf, signal: AbortSignal): Promise<boolean | number> {
    const kind = kindOf(wanted.apiVersion, wanted.kind)
    const name = watchedNameOf(wanted.apiVersion, wanted.kind)
    if (kind === undefined || name === undefined) throw new Error(`no way to write the status of a ${wanted.kind}`)
    const path = resourcePath(kind, wanted.namespace, wanted.name)
    let live = this.#options.store.get(name, kind.namespaced ? wanted.namespace : undefined, wanted.name)
    // The translation writes the same status in the same order: of thousands of objects most are done here.
    const text = JSON.stringify(wanted)
    const settled = this.#settled.get(key)
    if (live !== undefined && settled?.live === live && settled.wanted === text) return false
    const hash = stableHash(wanted)
    const sent = this.#sent.get(key)
    for (let attempt = 0; live !== undefined; attempt++) {
      const version = live.metadata.resourceVersion ?? ''
      if (sent?.hash === hash && (sent.basedOn === version || sent.version === version)) return false
      const atMs = this.#options.clock?.() ?? Date.now()
      const now = `${new Date(atMs).toISOString().slice(0, 19)}Z`
      const merged = mergeStatus(live, wanted, now)
      // A type that we once applied goes away by applying again without it; that cannot be seen from here.
      const stale =
        merged.how === 'apply' && (sent === undefined || sent.hash !== hash) && unknownConditions(live, wanted)
      if (merged.equal && !stale) {
        this.#settled.set(key, { live, wanted: text })
        return false
      }
      // A clock that was set back ends the pause, too.
      const sinceMs = sent?.hash === hash && atMs >= sent.atMs ? atMs - sent.atMs : Infinity
      const undone = sinceMs < forgetMs ? (sent?.undone ?? 0) + 1 : 0
      const leftMs = pauseMs(undone) - sinceMs
      if (leftMs > 0) {
        this.#complain(key, 'somebody else undoes it again and again; see which other controller writes it')
        return leftMs
      }
      try {
        const answer = await this.#send(merged.how, kind, live, merged.status)
        this.#sent.set(key, { hash, basedOn: version, version: answer.metadata.resourceVersion ?? '', undone, atMs })
        return answer.metadata.resourceVersion !== version
      } catch (cause) {
        if (isStatus(cause, 404)) return false
        if (!isStatus(cause, 409) || attempt + 1 >= attempts) throw cause
        await delay(20 * 2 ** attempt * (0.5 + Math.random() / 2), signal)
        if (signal.aborted) return false
        const fresh = await this.#options.client.get<KubeObject>(path, signal)
        live = fresh
        // The object was edited after it was translated: the next translation speaks about it.
        if (wanted.generation !== (fresh.metadata.generation ?? wanted.generation)) return false
      }
    }
    return false
  }

  #send(
    how: 'apply' | 'patch',
    kind: Parameters<typeof resourcePath>[0],
    live: KubeObject,
    status: unknown,
  ): Promise<KubeObject> {
    const { name, namespace, resourceVersion } = live.metadata
    const path = resourcePath(kind, namespace, name, 'status')
    const head = { apiVersion: kind.apiVersion, kind: kind.kind }
    if (how === 'apply') {
      const metadata = namespace === undefined ? { name } : { name, namespace }
      return this.#options.client.apply(path, { ...head, metadata, status }, fieldManager)
    }
    // The resource version makes the API refuse the patch if somebody else wrote meanwhile: these lists are atomic.
    const body = { ...head, metadata: { name, resourceVersion }, status }
    return this.#options.client.request('PATCH', path, { body, patch: 'merge', query: { fieldManager } })
  }

  #complain(key: string, reason: string): void {
    if (this.#complaints.get(key) === reason) return
    this.#complaints.set(key, reason)
    this.#options.log.warn('cannot write a status; it is tried again', { object: key, reason })
  }
}
