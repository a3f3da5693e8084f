// What the Kubernetes API holds, as far as the controller looks at it: frozen objects per kind, kept current by one
// list-watch each. `objects()` of a kind is the same array until something of that kind changes, so that a consumer may
// memoise on it.

import { stableJson } from '@wishbone/core/result'
import {
  type KubeClient,
  type KubeObject,
  type ListWatchOptions,
  type ListWatchState,
  listWatch,
  type ObjectMeta,
  type WatchEvent,
  type WatchedKind,
} from '@wishbone/runtime/kube'
import type { Log } from '../log.ts'
import { overlayKeys } from '../translate/index.ts'
import { type WatchedName, watchedKinds } from './resources.ts'

export interface StoreObserver {
  /** `changed` counts objects; called after each event or list. */
  changed(name: WatchedName, count: number): void
  state(name: WatchedName, state: ListWatchState): void
  /** How long ago, by its own managed fields, the object of an event was written; whole seconds as they are. */
  delayed?(name: WatchedName, seconds: number): void
}

export interface StoreOptions extends Omit<ListWatchOptions, 'log'> {
  readonly log: Log
  readonly observer?: StoreObserver
  readonly onChange: (name: WatchedName) => void
  /** For tests; default all. */
  readonly names?: readonly WatchedName[]
}

export interface StoreState {
  readonly count: number
  readonly state: ListWatchState | undefined
  /** Since the API server last said something about this kind, be it only that there is nothing new. */
  readonly silentMs: number
}

interface Collection {
  readonly byKey: Map<string, KubeObject>
  array: readonly KubeObject[] | undefined
  synced: boolean
  state: ListWatchState | undefined
  /** When the API server last said something about this kind; by the monotonic clock. */
  heardAtMs: number
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
      this.#collections.set(name, {
        byKey: new Map(),
        array: undefined,
        synced: false,
        state: undefined,
        heardAtMs: performance.now(),
      })
  }

  start(client: KubeClient): void {
    const { signal } = this.#abort
    void this.synced.then(() => this.#logAbsent())
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

  states(): ReadonlyMap<WatchedName, StoreState> {
    const now = performance.now()
    return new Map(
      [...this.#collections].map(([name, { byKey, state, heardAtMs }]) => [
        name,
        { count: byKey.size, state, silentMs: now - heardAtMs },
      ]),
    )
  }

  /** One line for all kinds that are not installed, after the first lists. */
  #logAbsent(): void {
    const absent = [...this.#collections].filter(([, { state }]) => state?.kind === 'absent').map(([name]) => name)
    if (absent.length === 0) return
    const kinds = absent.map((name) => `${watchedKinds[name].kind}.${watchedKinds[name].apiVersion}`).join(', ')
    this.#options.log.info('kinds that are not installed; taken as empty until they are', { kinds })
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
    const { onChange, observer, log } = this.#options
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
          const kept = same ? known : freeze(object)
          collection.byKey.set(key, kept)
          different ||= !same && !(known !== undefined && saysTheSame(known, kept))
        }
        collection.synced = true
        if (different) changed()
        if (this.pending().length === 0) this.#synced.resolve()
      },
      upsert: (object) => {
        const known = collection.byKey.get(keyOf(object))
        if (known !== undefined && sameVersion(known, object)) return
        const kept = freeze(object)
        collection.byKey.set(keyOf(object), kept)
        if (known === undefined || !saysTheSame(known, kept)) changed()
      },
      remove: (object) => {
        if (collection.byKey.delete(keyOf(object))) changed()
      },
      heard: (event) => {
        collection.heardAtMs = performance.now()
        const seconds = event === undefined ? undefined : delayOf(event)
        if (seconds !== undefined) observer?.delayed?.(name, seconds)
      },
      state: (state) => {
        const before = collection.state?.kind
        const { kind, apiVersion } = watchedKinds[name]
        if (before === 'absent' && state.kind === 'watching') log.info(`${kind} is installed now`, { apiVersion })
        if (collection.synced && before !== 'absent' && state.kind === 'absent')
          log.warn(`${kind} is not installed any more; taken as empty until it is`, { apiVersion })
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

/** Undefined for what leaves no time behind: deletions, and objects whose managed fields were taken away. */
function delayOf({ type, object }: WatchEvent): number | undefined {
  const { managedFields, deletionTimestamp } = (object as KubeObject).metadata as ObjectMeta & {
    readonly managedFields?: readonly { readonly time?: string }[]
  }
  if (type === 'DELETED' || deletionTimestamp !== undefined || managedFields === undefined) return undefined
  const newest = Math.max(...managedFields.map(({ time }) => Date.parse(time ?? '') || 0))
  return newest > 0 ? Math.max(0, (Date.now() - newest) / 1000) : undefined
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
  const read = object.kind === 'ConfigMap' ? { data: readData(object), binaryData: undefined } : {}
  return deepFreeze({ ...object, ...read, metadata } as unknown as KubeObject)
}

/** What is read of ConfigMaps; of everything else in them only the name is kept. */
const readKeys = new Set<string>([...overlayKeys, 'root-cert.pem', 'ca.crt'])

function readData(object: KubeObject): Readonly<Record<string, string>> {
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, readKeys.has(key) ? text : '']))
}

/** Programs use ConfigMaps for what changes all the time; that is no reason to translate the cluster again. */
function saysTheSame(a: KubeObject, b: KubeObject): boolean {
  if (a.kind !== 'ConfigMap') return false
  const said = (object: KubeObject) => {
    const { resourceVersion: _, ...metadata } = object.metadata
    return stableJson({ ...object, metadata })
  }
  return said(a) === said(b)
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const member of Object.values(value)) deepFreeze(member)
    Object.freeze(value)
  }
  return value
}
