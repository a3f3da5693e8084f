// The search through entries for one request. Allocates only when a match looks at the query.
import type { Entry } from './entry.ts'
import { matchesPath } from './path.ts'
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

/** The first entry that matches: entries are in order of precedence. */
export function findEntry<T>(entries: readonly Entry<T>[], head: RequestHead): Entry<T> | undefined {
  let query: ReadonlyMap<string, string> | undefined
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!
    if (!matchesPath(entry.path, head.path)) continue
    if (entry.method !== '' && entry.method !== head.method) continue
    if (entry.headers.length > 0 && !matchesHeaders(entry, head)) continue
    if (entry.query.length > 0) {
      query ??= parseQuery(head.query)
      if (!matchesQuery(entry, query)) continue
    }
    return entry
  }
  return undefined
}

function matchesHeaders<T>(entry: Entry<T>, head: RequestHead): boolean {
  for (const match of entry.headers) if (!matchesValue(match, head.header(match.name))) return false
  return true
}

function matchesQuery<T>(entry: Entry<T>, query: ReadonlyMap<string, string>): boolean {
  for (const match of entry.query) if (!matchesValue(match, query.get(match.name))) return false
  return true
}
