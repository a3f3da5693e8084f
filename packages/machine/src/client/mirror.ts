// A live copy of all objects of one kind, by list and watch.
import { setTimeout as delay } from 'node:timers/promises'
import { KubeError, type ResourceKind, resourcePath } from '@wishbone/runtime/kube'
import type { KubeObject } from '../api/object.ts'
import type { ApiClient } from './api.ts'

export interface Mirror<T extends KubeObject> {
  get(namespace: string | undefined, name: string): T | undefined
  all(): IterableIterator<T>
  /** Called with the object as it is now (undefined: deleted) and as it was; not for what was there before. */
  onChange(listener: (now: T | undefined, before: T | undefined) => void): void
  /** Resolves after the first list. */
  readonly synced: Promise<void>
}

const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`

export function startMirror<T extends KubeObject>(
  client: ApiClient,
  resource: ResourceKind,
  signal: AbortSignal,
): Mirror<T> {
  const objects = new Map<string, T>()
  const listeners: ((now: T | undefined, before: T | undefined) => void)[] = []
  let markSynced: () => void = () => {}
  const synced = new Promise<void>((resolve) => {
    markSynced = resolve
  })
  const change = (key: string, now: T | undefined): void => {
    const before = objects.get(key)
    if (now && before?.metadata.resourceVersion === now.metadata.resourceVersion) return
    if (now) objects.set(key, now)
    else if (!objects.delete(key)) return
    for (const listener of listeners) listener(now, before)
  }
  const whole = (object: T): T => ({ ...object, apiVersion: resource.apiVersion, kind: resource.kind })

  const follow = async (): Promise<void> => {
    const list = await client.request<{ metadata: { resourceVersion: string }; items: T[] }>(
      'GET',
      resourcePath(resource),
    )
    const seen = new Set(list.items.map(keyOf))
    for (const item of list.items) change(keyOf(item), whole(item))
    for (const key of [...objects.keys()]) if (!seen.has(key)) change(key, undefined)
    markSynced()
    let version = list.metadata.resourceVersion
    while (!signal.aborted) {
      const path = `${resourcePath(resource)}?watch=true&allowWatchBookmarks=true&resourceVersion=${version}`
      await client.watch<T>(
        path,
        ({ type, object }) => {
          if (type === 'ERROR') throw new KubeError(410, 'Expired', 'the watch has expired')
          version = object.metadata.resourceVersion ?? version
          if (type === 'BOOKMARK') return
          change(keyOf(object), type === 'DELETED' ? undefined : whole(object))
        },
        signal,
      )
    }
  }

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await follow()
      } catch {
        if (!signal.aborted) await delay(200)
      }
    }
  }
  void run()
  return {
    get: (namespace, name) => objects.get(`${namespace ?? ''}/${name}`),
    all: () => objects.values(),
    onChange: (listener) => void listeners.push(listener),
    synced,
  }
}
