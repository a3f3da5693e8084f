// The objects, their versions and the recent history that watches replay. Knows nothing about kinds or rules;
// every object that goes in is frozen and shared by all readers.
import { expired } from './errors.ts'
import { deepFreeze, type JsonMap, type KubeObject, namedKey } from './object.ts'

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly key: string
  readonly object: KubeObject
  readonly previous: KubeObject | undefined
  readonly resourceVersion: number
}

export type StoreListener = (event: StoreEvent) => void

export class Store {
  readonly #collections = new Map<string, Map<string, KubeObject>>()
  readonly #listeners = new Map<string, Set<StoreListener>>()
  readonly #histories = new Map<string, StoreEvent[]>()
  /** For each kind the version of the newest event that fell out of the history. */
  readonly #forgotten = new Map<string, number>()
  readonly #historyLimit: number
  #version = 1

  constructor(historyLimit = 4000) {
    this.#historyLimit = historyLimit
  }

  get version(): number {
    return this.#version
  }

  get(key: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#collections.get(key)?.get(namedKey(namespace, name))
  }

  /** All objects of a kind, or of one namespace, in insertion order. */
  list(key: string, namespace?: string): readonly KubeObject[] {
    const all = [...(this.#collections.get(key)?.values() ?? [])]
    return namespace === undefined ? all : all.filter((object) => object.metadata.namespace === namespace)
  }

  keys(): readonly string[] {
    return [...this.#collections.keys()]
  }

  /** Stores an object (the caller has checked the preconditions) and returns what was stored. */
  put(key: string, object: KubeObject): KubeObject {
    const collection = this.#collections.get(key) ?? new Map<string, KubeObject>()
    this.#collections.set(key, collection)
    const at = namedKey(object.metadata.namespace, object.metadata.name)
    const previous = collection.get(at)
    const stored = this.#stamp(object)
    collection.set(at, stored)
    this.#emit({
      type: previous === undefined ? 'ADDED' : 'MODIFIED',
      key,
      object: stored,
      previous,
      resourceVersion: this.#version,
    })
    return stored
  }

  remove(key: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const collection = this.#collections.get(key)
    const previous = collection?.get(namedKey(namespace, name))
    if (collection === undefined || previous === undefined) return undefined
    collection.delete(namedKey(namespace, name))
    const object = this.#stamp(previous)
    this.#emit({ type: 'DELETED', key, object, previous, resourceVersion: this.#version })
    return object
  }

  /** Calls back after each change of a kind (`*`: of any), in order, synchronously. */
  onChange(key: string, listener: StoreListener): () => void {
    const listeners = this.#listeners.get(key) ?? new Set()
    this.#listeners.set(key, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** Events of a kind after a version. Throws 410 when the history does not reach back that far. */
  since(key: string, version: number): readonly StoreEvent[] {
    if (version < (this.#forgotten.get(key) ?? 0)) {
      throw expired(`too old resource version: ${version} (${this.#forgotten.get(key)})`)
    }
    return (this.#histories.get(key) ?? []).filter((event) => event.resourceVersion > version)
  }

  /** Forgets the history, so that watches from older versions get 410 (for tests of clients). */
  compact(): void {
    for (const key of this.#collections.keys()) {
      this.#histories.set(key, [])
      this.#forgotten.set(key, this.#version)
    }
  }

  #stamp(object: KubeObject): KubeObject {
    this.#version++
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } }
    return deepFreeze(stamped as unknown as JsonMap) as unknown as KubeObject
  }

  #emit(event: StoreEvent): void {
    const history = this.#histories.get(event.key) ?? []
    this.#histories.set(event.key, history)
    history.push(event)
    if (history.length > this.#historyLimit * 1.25) {
      const dropped = history.splice(0, history.length - this.#historyLimit)
      this.#forgotten.set(event.key, dropped.at(-1)!.resourceVersion)
    }
    for (const listener of [...(this.#listeners.get(event.key) ?? [])]) listener(event)
    for (const listener of [...(this.#listeners.get('*') ?? [])]) listener(event)
  }
}
