// The entries of all routes at one listener, by the namespace of the consumers they are for; "" is the producer's.
import { type Entry, type HostTable, HostTableDraft } from '@wishbone/core/matching'
import type { Rule, TcpRule } from './types.ts'

interface Group<T> {
  /** Routes, with entries or without: a route of which nothing can be used is not "no route". */
  routes: number
  table: HostTable<T>
  draft: HostTableDraft<T> | undefined
}

export class AttachedRoutes<T> {
  readonly #groups = new Map<string, Group<T>>()

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  namespaces(): Iterable<string> {
    return this.#groups.keys()
  }

  add(namespace: string, entries: readonly Entry<T>[]): void {
    let group = this.#groups.get(namespace)
    if (group === undefined) {
      const draft = new HostTableDraft<T>()
      this.#groups.set(namespace, (group = { routes: 0, table: draft.finish(), draft: undefined }))
    }
    group.routes++
    const draft = (group.draft ??= new HostTableDraft(group.table))
    for (const entry of entries) draft.add(entry)
  }

  remove(namespace: string, entries: readonly Entry<T>[]): void {
    const group = this.#groups.get(namespace)
    if (group === undefined) return
    if (--group.routes === 0) return void this.#groups.delete(namespace)
    const draft = (group.draft ??= new HostTableDraft(group.table))
    for (const entry of entries) draft.remove(entry)
  }

  /** With everything added and removed up to now; undefined: no route. */
  table(namespace: string): HostTable<T> | undefined {
    const group = this.#groups.get(namespace)
    if (group?.draft !== undefined) {
      group.table = group.draft.finish()
      group.draft = undefined
    }
    return group?.table
  }
}

export class Attached {
  readonly http = new AttachedRoutes<Rule>()
  readonly tcp = new AttachedRoutes<TcpRule>()

  get isEmpty(): boolean {
    return this.http.isEmpty && this.tcp.isEmpty
  }
}
