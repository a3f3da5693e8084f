// What the Kubernetes API holds, as far as the controller looks at it: frozen objects per kind, kept current by one
// list-watch each. `objects()` of a kind is the same array until something of that kind changes, so that a consumer may
// memoise on it.

import {
  type KubeClient,
  type KubeObject,
  type ListWatchOptions,
  type ListWatchState,
  listWatch,
} from '@wishbone/runtime/kube'
import type { Log } from '../log.ts'
import { type WatchedKind, type WatchedName, watchedKinds } from './resources.ts'

export interface StoreObserver {
  /** `changed` counts objects; called after each event or list. */
  changed(name: WatchedName, count: number): void
  state(name: WatchedName, state: ListWatchState): void
}

export interface StoreOptions extends Omit<ListWatchOptions, 'log'> {
  readonly log: Log
  readonly observer?: StoreObserver
  readonly onChange: (name: WatchedName) => void
  /** For tests; default all. */
  readonly names?: readonly WatchedName[]
}

interface Collection {
  readonly byKey: Map<string, KubeObject>
  array: readonly KubeObject[] | undefined
  synced: boolean
  state: ListWatchState | undefined
}

export class Store implements AsyncDisposable {
  readonly #collections = new Map<WatchedName, Collection>()
  readonly #abort = new AbortController()
  readonly #options: StoreOptions
  readonly #synced = Promise.withResolvers<void>()
  #loops: readonly Promise<void>[] = []

  constructor(options: StoreOptions) {
    this.#options = options
    for (const name of options.names ?? (Object.keys(watchedKinds) as WatchedName[]))
      this.#collections.set(name, { byKey: new Map(), array: undefined, synced: false, state: undefined })
  }

  start(client: KubeClient): void {
    const { signal } = this.#abort
    this.#loops = [...this.#collections].map(([name, collection]) => {
      const handler = this.#handler(name, collection)
      return listWatch(client, watchedKinds[name] as WatchedKind, handler, { ...this.#options, signal })
    })
  }

  /** Resolves once every kind has been listed or found absent. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  /** The kinds whose first list has not come yet, with the reason if there is one. */
  pending(): readonly string[] {
    const pending: string[] = []
    for (const [name, { synced, state }] of this.#collections)
      if (!synced) pending.push(state?.kind === 'failing' ? `${name} (${state.reason})` : name)
    return pending
  }

  states(): ReadonlyMap<WatchedName, { readonly count: number; readonly state: ListWatchState | undefined }> {
    return new Map([...this.#collections].map(([name, { byKey, state }]) => [name, { count: byKey.size, state }]))
  }

  objects(name: WatchedName): readonly KubeObject[] {
    const collection = this.#collections.get(name)
    if (collection === undefined) return []
    collection.array ??= Object.freeze([...collection.byKey.values()])
    return collection.array
  }

  get(name: WatchedName, namespace: string | undefined, objectName: string): KubeObject | undefined {
    return this.#collections.get(name)?.byKey.get(`${namespace ?? ''}/${objectName}`)
  }

  #handler(name: WatchedName, collection: Collection): Parameters<typeof listWatch>[2] {
    const { onChange, observer } = this.#options
    const changed = (): void => {
      collection.array = undefined
      observer?.changed(name, collection.byKey.size)
      onChange(name)
    }
    return {
      replace: (objects) => {
        const before = new Map(collection.byKey)
        collection.byKey.clear()
        let different = before.size !== objects.length || !collection.synced
        for (const object of objects) {
          const key = keyOf(object)
          const known = before.get(key)
          const same = known !== undefined && sameVersion(known, object)
          collection.byKey.set(key, same ? known : freeze(object))
          different ||= !same
        }
        collection.synced = true
        if (different) changed()
        if (this.pending().length === 0) this.#synced.resolve()
      },
      upsert: (object) => {
        const known = collection.byKey.get(keyOf(object))
        if (known !== undefined && sameVersion(known, object)) return
        collection.byKey.set(keyOf(object), freeze(object))
        changed()
      },
      remove: (object) => {
        if (collection.byKey.delete(keyOf(object))) changed()
      },
      state: (state) => {
        collection.state = state
        observer?.state(name, state)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#loops)
  }
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion
}

/** Frozen all the way down, without the members that are bulky and that nobody reads. */
function freeze(object: KubeObject): KubeObject {
  const metadata = { ...object.metadata } as Record<string, unknown>
  delete metadata['managedFields']
  const annotations = object.metadata.annotations
  if (annotations !== undefined && lastApplied in annotations) {
    const { [lastApplied]: _, ...rest } = annotations
    metadata['annotations'] = rest
  }
  return deepFreeze({ ...object, metadata } as unknown as KubeObject)
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const member of Object.values(value)) deepFreeze(member)
    Object.freeze(value)
  }
  return value
}
