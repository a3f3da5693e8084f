// Follows all objects of one kind: list in pages, then watch from there, for ever.
//
// States: listing → watching → (stream ended) watching from the last resource version → …
//   410 Gone, in a watch or between two pages: listing again. 404 on the collection: the kind is not installed; it counts
//   as empty and synced, and is looked for again every `absentMs`. Anything else: back-off with jitter, then go on where
//   it was; what is known stays in force.
import { type BackoffOptions, backoff, delay } from '../lifecycle/index.ts'
import type { KubeClient, KubeObject } from './client.ts'
import { isStatus, messageOf } from './error.ts'
import { resourcePath, type WatchedKind } from './resource.ts'

export interface ListWatchHandler {
  /** The complete set, after each list. */
  replace(objects: readonly KubeObject[]): void
  upsert(object: KubeObject): void
  remove(object: KubeObject): void
  /** For metrics; `lagging` while the kind is not being watched for a reason that is an error. */
  state?(state: ListWatchState): void
}

export type ListWatchState =
  | { readonly kind: 'watching' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failing'; readonly reason: string }

/** The part of a logger that is needed here. */
export interface ListWatchLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export interface ListWatchOptions {
  readonly pageSize?: number
  readonly backoff?: BackoffOptions
  readonly absentMs?: number
  readonly log: ListWatchLog
}

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
  const { log, signal, absentMs = 5_000 } = options
  const waits = backoff(options.backoff ?? { firstMs: 100, maxMs: 15_000, jitter: 0.5 })
  let version: string | undefined
  let failures = 0
  let absent = false
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        const listed = await list(client, kind, options)
        handler.replace(listed.objects)
        version = listed.version
        if (absent) log.info(`${kind.kind} is installed now`, { apiVersion: kind.apiVersion })
        absent = false
      }
      const onOpen = (): void => handler.state?.({ kind: 'watching' })
      for await (const event of watch(client, kind, version, onOpen, signal)) {
        failures = 0
        waits.reset()
        const object = event.object as KubeObject
        if (event.type === 'ADDED' || event.type === 'MODIFIED') handler.upsert(complete(object, kind))
        else if (event.type === 'DELETED') handler.remove(complete(object, kind))
        version = object.metadata?.resourceVersion ?? version
      }
      // A server that ends every watch at once must not be asked in a loop.
      await delay(20 + Math.random() * 80, signal)
    } catch (cause) {
      if (signal.aborted) return
      if (isStatus(cause, 410)) {
        version = undefined
        // The first time at once; a server that always says so gets the back-off.
        if (failures++ === 0) continue
      } else if (isStatus(cause, 404)) {
        version = undefined
        if (!absent) {
          log.info(`${kind.kind} is not installed; taken as empty until it is`, { apiVersion: kind.apiVersion })
          handler.replace([])
          handler.state?.({ kind: 'absent' })
        }
        absent = true
        await delay(absentMs * (0.9 + Math.random() * 0.2), signal)
        continue
      } else {
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
    const page = await client.request<ListPage>('GET', resourcePath(kind), {
      query: { limit: pageSize, continue: next, labelSelector: kind.labelSelector, fieldSelector: kind.fieldSelector },
      signal,
    })
    // Items of a list carry neither apiVersion nor kind.
    for (const item of page.items ?? []) objects.push(complete(item, kind))
    next = page.metadata?.continue
    if (next === undefined || next === '') return { objects, version: page.metadata?.resourceVersion ?? '0' }
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
  return client.watch(resourcePath(kind), { query, silenceMs: (timeoutSeconds + 30) * 1000, onOpen }, signal)
}

function complete(object: KubeObject, kind: WatchedKind): KubeObject {
  return object.kind === undefined || object.apiVersion === undefined
    ? { ...object, apiVersion: kind.apiVersion, kind: kind.kind }
    : object
}
