// Follows all objects of one kind: list in pages, then watch from there, for ever.
//
// States: listing → watching → (stream ended) watching from the last resource version → …
//   410 Gone, in a watch or between two pages: listing again. 404 on the collection: the kind is not installed; it counts
//   as empty and synced, and is looked for again every `absentMs`. (One that was there is asked for twice before it is
//   taken as gone: a server that has just started does not know all of its kinds. Kubernetes' own are never gone: such a
//   404 is the answer of something else in the server's place.) Anything else: back-off with jitter, then go on where it
//   was; what is known stays in force. A server that refuses the same watch again and again gets a new list: its history
//   may have been restored from an older one.
import { type BackoffOptions, backoff, delay } from '../lifecycle/index.ts'
import type { KubeClient, KubeObject, WatchEvent } from './client.ts'
import { isStatus, KubeError, messageOf } from './error.ts'
import { resourcePath, type WatchedKind } from './resource.ts'

export interface ListWatchHandler {
  /** The complete set, after each list. */
  replace(objects: readonly KubeObject[]): void
  upsert(object: KubeObject): void
  remove(object: KubeObject): void
  /** At each change, and again at each failure. Said before `replace` for a kind that is absent. */
  state?(state: ListWatchState): void
  /** At every sign of life: an answer to a list, an opened watch, an event (given, unless it is a bookmark). */
  heard?(event?: WatchEvent): void
}

export type ListWatchState =
  | { readonly kind: 'watching' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failing'; readonly reason: string }

/** The part of a logger that is needed here. */
export interface ListWatchLog {
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export interface ListWatchOptions {
  readonly pageSize?: number
  readonly backoff?: BackoffOptions
  /** How often an absent kind is looked for. Default 2 s. */
  readonly absentMs?: number
  readonly log: ListWatchLog
}

/** So many refusals of one watch in a row make it list again. */
const refusalsUntilList = 4
/** A watch that ends earlier, with nothing to tell, was none. */
const briefMs = 1_000
/** A server that sends bookmarks sends one a minute. */
const silentMs = 150_000

/** Kubernetes cannot be without these. */
const alwaysThere: ReadonlySet<string> = new Set(['v1', 'apps/v1', 'discovery.k8s.io/v1'])

interface ListPage {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items?: readonly KubeObject[]
}

/** Runs until the signal aborts; never throws. */
export async function listWatch(
  client: KubeClient,
  kind: WatchedKind,
  handler: ListWatchHandler,
  options: ListWatchOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const { log, signal, absentMs = 2_000 } = options
  const waits = backoff(options.backoff ?? { firstMs: 100, maxMs: 15_000, jitter: 0.5 })
  let version: string | undefined
  let failures = 0
  let refusals = 0
  let presence: 'unknown' | 'present' | 'doubtful' | 'absent' = 'unknown'
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        const listed = await list(client, kind, options)
        presence = 'present'
        handler.heard?.()
        handler.replace(listed.objects)
        version = listed.version
      }
      const onOpen = (): void => {
        handler.heard?.()
        handler.state?.({ kind: 'watching' })
      }
      const startedMs = performance.now()
      let events = 0
      for await (const event of watch(client, kind, version, onOpen, signal)) {
        events++
        failures = refusals = 0
        waits.reset()
        const object = event.object as KubeObject
        handler.heard?.(event.type === 'BOOKMARK' ? undefined : event)
        if (event.type === 'ADDED' || event.type === 'MODIFIED') handler.upsert(complete(object, kind))
        else if (event.type === 'DELETED') handler.remove(complete(object, kind))
        version = object.metadata?.resourceVersion ?? version
      }
      // A server that ends every watch at once must not be asked in a loop, least of all for every kind.
      const inVain = events === 0 && performance.now() - startedMs < briefMs
      await delay(inVain ? waits.next() : 20 + Math.random() * 80, signal)
    } catch (cause) {
      if (signal.aborted) return
      if (isStatus(cause, 410)) {
        version = undefined
        // The first time at once; a server that always says so gets the back-off.
        if (failures++ === 0) continue
      } else if (
        (isStatus(cause, 404) && !alwaysThere.has(kind.apiVersion)) ||
        (kind.dispensable === true && isStatus(cause, 403))
      ) {
        version = undefined
        if (presence === 'present') presence = 'doubtful'
        else if (presence !== 'absent') {
          presence = 'absent'
          handler.state?.({ kind: 'absent' })
          handler.replace([])
        }
        await delay(absentMs * (0.9 + Math.random() * 0.2), signal)
        continue
      } else {
        if (cause instanceof KubeError && ++refusals >= refusalsUntilList) version = undefined
        const reason = messageOf(cause)
        handler.state?.({ kind: 'failing', reason })
        // One line at the start of an outage and one now and then.
        if (failures % 10 === 0)
          log.warn(`cannot follow ${kind.kind}; what is known stays in force`, { reason, failures: failures + 1 })
        failures++
      }
      await delay(waits.next(), signal)
    }
  }
}

async function list(
  client: KubeClient,
  kind: WatchedKind,
  { pageSize = 500, signal }: { readonly pageSize?: number; readonly signal: AbortSignal },
): Promise<{ readonly objects: readonly KubeObject[]; readonly version: string }> {
  const objects: KubeObject[] = []
  let next: string | undefined
  for (;;) {
    const path = resourcePath(kind, kind.namespace)
    const page = await client.request<ListPage | null>('GET', path, {
      query: {
        limit: kind.pageSize ?? pageSize,
        continue: next,
        labelSelector: kind.labelSelector,
        fieldSelector: kind.fieldSelector,
      },
      signal,
    })
    // Whatever else may answer in the server's place with 200 must not empty a mesh: every list has a version.
    const listed = page?.metadata?.resourceVersion
    if (typeof listed !== 'string')
      throw new Error(`GET ${path}: the answer is no list; does the API server answer there?`)
    // Items of a list carry neither apiVersion nor kind.
    for (const item of page?.items ?? []) objects.push(complete(item, kind))
    next = page?.metadata?.continue
    if (next === undefined || next === '') return { objects, version: listed }
  }
}

function watch(
  client: KubeClient,
  kind: WatchedKind,
  version: string,
  onOpen: () => void,
  signal: AbortSignal,
): ReturnType<KubeClient['watch']> {
  // Spread over four minutes: all watches of a program must not end together.
  const timeoutSeconds = 240 + Math.floor(Math.random() * 240)
  const query = {
    resourceVersion: version,
    allowWatchBookmarks: 'true',
    timeoutSeconds,
    labelSelector: kind.labelSelector,
    fieldSelector: kind.fieldSelector,
  }
  return client.watch(resourcePath(kind, kind.namespace), { query, silenceMs: silentMs, onOpen }, signal)
}

function complete(object: KubeObject, kind: WatchedKind): KubeObject {
  return object.kind === undefined || object.apiVersion === undefined
    ? { ...object, apiVersion: kind.apiVersion, kind: kind.kind }
    : object
}
