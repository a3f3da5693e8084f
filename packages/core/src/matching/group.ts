// The entries of one hostname by path, so that a request looks at few of them. Each list is in order of precedence. A group never
// changes: table-draft.ts makes the next one, which shares with it whatever did not change.
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

/** No list is empty but that of the regular expressions. */
export interface EntryGroup<T> {
  readonly exact: ReadonlyMap<string, readonly Entry<T>[]>
  /** By the prefix without its final slash. */
  readonly prefixes: ReadonlyMap<string, readonly Entry<T>[]>
  readonly regexes: readonly Entry<T>[]
  /** No prefix is longer. */
  readonly longestPrefix: number
}

export interface HostTable<T> {
  readonly exact: ReadonlyMap<string, EntryGroup<T>>
  /** By suffix with its dot: ".example.com". */
  readonly wildcard: ReadonlyMap<string, EntryGroup<T>>
  /** Under "" those for every host. */
  readonly any: ReadonlyMap<string, EntryGroup<T>>
}

/** The first entry that matches. Allocates little: the prefixes of the path that some entry could have. */
export function findInGroup<T>(
  { exact, prefixes, regexes, longestPrefix }: EntryGroup<T>,
  head: RequestHead,
): Entry<T> | undefined {
  const { path } = head
  let best = firstOf(exact.get(path), head, undefined)
  for (let end = Math.min(path.length, longestPrefix); end >= 0; end--) {
    if (end < path.length && path.charCodeAt(end) !== 0x2f) continue
    best = firstOf(prefixes.get(path.slice(0, end)), head, best)
  }
  for (const entry of regexes) {
    if (best !== undefined && compareEntries(best, entry) < 0) break
    if (entry.path.kind === 'regex' && entry.path.pattern.test(path) && matchesRest(entry, head)) return entry
  }
  return best
}

/** The entry of the highest precedence, whatever it matches. */
export function firstInGroup<T>({ exact, prefixes, regexes }: EntryGroup<T>): Entry<T> | undefined {
  let first = regexes[0]
  for (const lists of [exact, prefixes])
    for (const [candidate] of lists.values())
      if (first === undefined || compareEntries(candidate!, first) < 0) first = candidate
  return first
}

/** The first of these entries that matches, if it comes before `best`; else `best`. */
function firstOf<T>(
  entries: readonly Entry<T>[] | undefined,
  head: RequestHead,
  best: Entry<T> | undefined,
): Entry<T> | undefined {
  if (entries === undefined) return best
  for (const entry of entries) {
    if (best !== undefined && compareEntries(best, entry) < 0) return best
    if (matchesRest(entry, head)) return entry
  }
  return best
}

/** Everything but host and path. */
function matchesRest<T>(entry: Entry<T>, head: RequestHead): boolean {
  if (entry.method !== '' && entry.method !== head.method) return false
  for (const match of entry.headers) if (!matchesValue(match, head.header(match.name))) return false
  if (entry.query.length === 0) return true
  const query = queryOf(head)
  for (const match of entry.query) if (!matchesValue(match, query.get(match.name))) return false
  return true
}

const queries = new WeakMap<RequestHead, ReadonlyMap<string, string>>()

/** Read once for all entries: a client may send thousands of parameters, and each entry may ask for one. */
function queryOf(head: RequestHead): ReadonlyMap<string, string> {
  let query = queries.get(head)
  if (query === undefined) queries.set(head, (query = parseQuery(head.query)))
  return query
}
