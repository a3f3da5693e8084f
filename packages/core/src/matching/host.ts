// Entries by hostname, and the search for the one that serves a request.
import { compareEntries, type Entry } from './entry.ts'
import { type EntryGroup, findInGroup, firstInGroup, type HostTable, type RequestHead } from './group.ts'
import { HostTableDraft } from './table-draft.ts'

/** Equal inputs in any order give tables that answer alike. For changes of a table there is HostTableDraft. */
export function buildHostTable<T>(entries: Iterable<Entry<T>>): HostTable<T> {
  const draft = new HostTableDraft<T>()
  for (const entry of entries) draft.add(entry)
  return draft.finish()
}

/** The entry of the highest precedence that matches; hosts are looked up, and paths in an index. */
export function findEntry<T>(table: HostTable<T>, head: RequestHead): Entry<T> | undefined {
  return best(table, head.host, (group) => findInGroup(group, head))
}

/** The entry of the highest precedence for `host` (lower case, without port), whatever else it asks for. */
export function firstEntry<T>(table: HostTable<T>, host: string): Entry<T> | undefined {
  return best(table, host, firstInGroup)
}

function best<T>(
  { exact, wildcard, any }: HostTable<T>,
  host: string,
  find: (group: EntryGroup<T>) => Entry<T> | undefined,
): Entry<T> | undefined {
  const own = exact.size > 0 ? exact.get(host) : undefined
  let found = own && find(own)
  if (wildcard.size > 0)
    for (let dot = host.indexOf('.', 1); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const group = wildcard.get(host.slice(dot))
      found = group === undefined ? found : better(found, find(group))
    }
  const rest = any.get('')
  return rest === undefined ? found : better(found, find(rest))
}

function better<T>(a: Entry<T> | undefined, b: Entry<T> | undefined): Entry<T> | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return compareEntries(a, b) <= 0 ? a : b
}

/** "" matches every host, "*.example.com" every host with at least one label more, anything else itself. */
export function matchesHostname(pattern: string, host: string): boolean {
  if (pattern === '') return true
  if (!pattern.startsWith('*.')) return pattern === host
  return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1))
}

/** Whether the text can be a request's host without its port. */
export function isHostname(text: string): boolean {
  return text.length <= 255 && /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]*)$/i.test(text)
}
