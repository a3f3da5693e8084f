// The entries of one hostname, in order of precedence, and an index by path, so that a request looks at few of them.
import { compareEntries, type Entry } from './entry.ts'
import { parseQuery } from './query.ts'
import { matchesValue } from './value.ts'

/** What of a request is looked at. */
export interface RequestHead {
  readonly method: string
  /** As received, without the query. */
  readonly path: string
  /** As received, without "?". */
  readonly query: string
  /** Lower case, without port. */
  readonly host: string
  /** The values of a header, joined by ","; `name` is in lower case. */
  header(name: string): string | undefined
}

/** Positions in the sorted entries, ascending. */
interface PathIndex {
  readonly exact: ReadonlyMap<string, readonly number[]>
  /** By the prefix without its final slash. */
  readonly prefixes: ReadonlyMap<string, readonly number[]>
  readonly longestPrefix: number
  readonly regexes: readonly number[]
}

const none = Number.POSITIVE_INFINITY

export class EntryGroup<T> {
  /** As they were given: the same members in the same order make the same group. */
  readonly members: readonly Entry<T>[]
  readonly entries: readonly Entry<T>[]
  #index: PathIndex | undefined

  constructor(members: readonly Entry<T>[]) {
    this.members = members
    this.entries = members.toSorted(compareEntries)
  }

  /** The first entry that matches. Allocates little: the prefixes of the path that some entry could have. */
  find(head: RequestHead): Entry<T> | undefined {
    this.#index ??= indexOf(this.entries)
    const { exact, prefixes, longestPrefix, regexes } = this.#index
    const { path } = head
    let best = this.#first(exact.get(path), head, none)
    for (let end = Math.min(path.length, longestPrefix); end >= 0; end--) {
      if (end < path.length && path.charCodeAt(end) !== 0x2f) continue
      best = this.#first(prefixes.get(path.slice(0, end)), head, best)
    }
    for (const position of regexes) {
      if (position >= best) break
      const entry = this.entries[position]!
      if (entry.path.kind === 'regex' && entry.path.pattern.test(path) && matchesRest(entry, head)) {
        best = position
        break
      }
    }
    return best === none ? undefined : this.entries[best]
  }

  /** The first of these positions that matches, if it comes before `best`; else `best`. */
  #first(positions: readonly number[] | undefined, head: RequestHead, best: number): number {
    if (positions === undefined) return best
    for (const position of positions) {
      if (position >= best) return best
      if (matchesRest(this.entries[position]!, head)) return position
    }
    return best
  }
}

function indexOf<T>(entries: readonly Entry<T>[]): PathIndex {
  const exact = new Map<string, number[]>()
  const prefixes = new Map<string, number[]>()
  const regexes: number[] = []
  let longestPrefix = 0
  for (const [position, { path }] of entries.entries()) {
    if (path.kind === 'regex') regexes.push(position)
    else {
      const positions = path.kind === 'exact' ? exact : prefixes
      const known = positions.get(path.value)
      if (known === undefined) positions.set(path.value, [position])
      else known.push(position)
      if (path.kind === 'prefix') longestPrefix = Math.max(longestPrefix, path.value.length)
    }
  }
  return { exact, prefixes, longestPrefix, regexes }
}

/** Everything but host and path. */
function matchesRest<T>(entry: Entry<T>, head: RequestHead): boolean {
  if (entry.method !== '' && entry.method !== head.method) return false
  for (const match of entry.headers) if (!matchesValue(match, head.header(match.name))) return false
  if (entry.query.length === 0) return true
  const query = parseQuery(head.query)
  for (const match of entry.query) if (!matchesValue(match, query.get(match.name))) return false
  return true
}
