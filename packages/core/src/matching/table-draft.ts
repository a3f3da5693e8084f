// The next table made from one that is in use: entries go in and out, and only the lists that they are in are made anew. The table that
// it began with stays as it is, so that the work may take several turns while requests are matched against that.
import { compareEntries, type Entry } from './entry.ts'
import type { EntryGroup, HostTable } from './group.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Groups<T> = ReadonlyMap<string, EntryGroup<T>>
type Lists<T> = ReadonlyMap<string, readonly Entry<T>[]>

/** Lifecycle: any number of add() and remove(), then finish() once. */
export class HostTableDraft<T> {
  readonly #table: Writable<HostTable<T>>
  /** Groups, maps and lists that no finished table has: they may be changed in place. */
  readonly #own = new Set<object>()

  constructor(table: HostTable<T> = { exact: new Map(), wildcard: new Map(), any: new Map() }) {
    this.#table = { ...table }
  }

  add(entry: Entry<T>): void {
    const [kind, host] = placeOf(entry)
    const groups = this.#groups(kind)
    const group = this.#group(groups, host)
    const { path } = entry
    if (path.kind === 'regex') group.regexes = this.#inserted(group.regexes, entry)
    else {
      const lists = this.#lists(group, path.kind)
      lists.set(path.value, this.#inserted(lists.get(path.value) ?? [], entry))
      if (path.kind === 'prefix') group.longestPrefix = Math.max(group.longestPrefix, path.value.length)
    }
  }

  /** `entry` is the object that was added; nothing happens if it is not there. */
  remove(entry: Entry<T>): void {
    const [kind, host] = placeOf(entry)
    if (!this.#table[kind].has(host)) return
    const groups = this.#groups(kind)
    const group = this.#group(groups, host)
    const { path } = entry
    if (path.kind === 'regex') group.regexes = this.#without(group.regexes, entry)
    else {
      const lists = this.#lists(group, path.kind)
      const rest = this.#without(lists.get(path.value) ?? [], entry)
      if (rest.length > 0) lists.set(path.value, rest)
      else lists.delete(path.value)
    }
    if (group.exact.size + group.prefixes.size + group.regexes.length === 0) groups.delete(host)
  }

  finish(): HostTable<T> {
    this.#own.clear()
    return this.#table
  }

  #groups(kind: keyof HostTable<T>): Map<string, EntryGroup<T>> {
    const groups: Groups<T> = this.#table[kind]
    if (this.#own.has(groups)) return groups as Map<string, EntryGroup<T>>
    return (this.#table[kind] = this.#owned(new Map(groups)))
  }

  #group(groups: Map<string, EntryGroup<T>>, host: string): Writable<EntryGroup<T>> {
    const group = groups.get(host)
    if (group !== undefined && this.#own.has(group)) return group
    const own = this.#owned(
      group === undefined ? { exact: new Map(), prefixes: new Map(), regexes: [], longestPrefix: 0 } : { ...group },
    )
    groups.set(host, own)
    return own
  }

  #lists(group: Writable<EntryGroup<T>>, kind: 'exact' | 'prefix'): Map<string, readonly Entry<T>[]> {
    const name = kind === 'exact' ? 'exact' : 'prefixes'
    const lists: Lists<T> = group[name]
    if (this.#own.has(lists)) return lists as Map<string, readonly Entry<T>[]>
    return (group[name] = this.#owned(new Map(lists)))
  }

  #inserted(list: readonly Entry<T>[], entry: Entry<T>): readonly Entry<T>[] {
    const own = this.#own.has(list) ? (list as Entry<T>[]) : this.#owned([...list])
    own.splice(positionOf(own, entry), 0, entry)
    return own
  }

  #without(list: readonly Entry<T>[], entry: Entry<T>): readonly Entry<T>[] {
    let position = positionOf(list, entry)
    // Several may be of equal precedence: a rule may name one hostname twice.
    while (position < list.length && list[position] !== entry && compareEntries(list[position]!, entry) === 0)
      position++
    if (list[position] !== entry) return list
    const own = this.#own.has(list) ? (list as Entry<T>[]) : this.#owned([...list])
    own.splice(position, 1)
    return own
  }

  #owned<O extends object>(object: O): O {
    this.#own.add(object)
    return object
  }
}

function placeOf<T>({ effective }: Entry<T>): [kind: keyof HostTable<T>, host: string] {
  const host = effective.toLowerCase()
  if (host === '') return ['any', '']
  return host.startsWith('*.') ? ['wildcard', host.slice(1)] : ['exact', host]
}

/** Of the first entry that does not come before `entry`. */
function positionOf<T>(list: readonly Entry<T>[], entry: Entry<T>): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareEntries(list[middle]!, entry) < 0) low = middle + 1
    else high = middle
  }
  return low
}
