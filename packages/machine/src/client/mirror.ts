// A live copy of all objects of one kind, by list and watch.
import { listWatch, type ResourceKind } from '@wishbone/runtime/kube'
import { type KubeObject, keyOf, namedKey } from '../api/objects/object.ts'
import type { ApiClient } from './api.ts'

export interface Mirror<T extends KubeObject> {
  get(namespace: string | undefined, name: string): T | undefined
  all(): IterableIterator<T>
  /** Called with the object as it is now (undefined: deleted) and as it was; not for what was there before. */
  onChange(listener: (now: T | undefined, before: T | undefined) => void): void
  /** Resolves after the first list. */
  readonly synced: Promise<void>
}

export function startMirror<T extends KubeObject>(
  client: ApiClient,
  resource: ResourceKind,
  signal: AbortSignal,
): Mirror<T> {
  const objects = new Map<string, T>()
  const listeners: ((now: T | undefined, before: T | undefined) => void)[] = []
  const { promise: synced, resolve: markSynced } = Promise.withResolvers<void>()
  const change = (key: string, now: T | undefined): void => {
    const before = objects.get(key)
    if (now && before?.metadata.resourceVersion === now.metadata.resourceVersion) return
    if (now) objects.set(key, now)
    else if (!objects.delete(key)) return
    for (const listener of listeners) listener(now, before)
  }
  const upsert = (object: KubeObject): void => change(keyOf(object), object as T)
  const handler = {
    replace(list: readonly KubeObject[]): void {
      const seen = new Set(list.map(keyOf))
      for (const object of list) upsert(object)
      for (const key of [...objects.keys()]) if (!seen.has(key)) change(key, undefined)
      markSynced()
    },
    upsert,
    remove: (object: KubeObject): void => change(keyOf(object), undefined),
  }
  // The server is in this process, or its neighbour: it is back at once, or never.
  const options = { log: { warn: () => {} }, backoff: { firstMs: 200, maxMs: 200 }, absentMs: 200, signal }
  void listWatch(client.kube, resource, handler, options)
  return {
    get: (namespace, name) => objects.get(namedKey(namespace, name)),
    all: () => objects.values(),
    onChange: (listener) => void listeners.push(listener),
    synced,
  }
}
