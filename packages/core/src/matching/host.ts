// Entries by hostname: one look-up gives all entries that a host can reach, in order of precedence.
import { compareEntries, type Entry } from './entry.ts'

export interface HostTable<T> {
  readonly exact: ReadonlyMap<string, readonly Entry<T>[]>
  /** By suffix with its dot: ".example.com". */
  readonly wildcard: ReadonlyMap<string, readonly Entry<T>[]>
  readonly any: readonly Entry<T>[]
}

/** Sorts and groups; equal inputs in any order give equal tables. */
export function buildHostTable<T>(entries: readonly Entry<T>[]): HostTable<T> {
  const sorted = entries.map(lowerHost).sort(compareEntries)
  const exact = new Map<string, readonly Entry<T>[]>()
  const wildcard = new Map<string, readonly Entry<T>[]>()
  for (const { effective } of sorted) {
    if (effective === '') continue
    const group = effective.startsWith('*.') ? wildcard : exact
    const key = effective.startsWith('*.') ? effective.slice(1) : effective
    if (group.has(key)) continue
    // A host below ".b.c" is below every shorter suffix of it too, so one made-up host stands for all of them;
    // its first label is one that no route can name.
    const host = group === wildcard ? `\u0000${key}` : key
    group.set(
      key,
      sorted.filter((entry) => matchesHostname(entry.effective, host)),
    )
  }
  return { exact, wildcard, any: sorted.filter((entry) => entry.effective === '') }
}

/** All entries for `host` (lower case, without port), best first. */
export function lookupHost<T>(table: HostTable<T>, host: string): readonly Entry<T>[] {
  if (table.exact.size > 0) {
    const found = table.exact.get(host)
    if (found !== undefined) return found
  }
  if (table.wildcard.size > 0)
    for (let dot = host.indexOf('.', 1); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const found = table.wildcard.get(host.slice(dot))
      if (found !== undefined) return found
    }
  return table.any
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

function lowerHost<T>(entry: Entry<T>): Entry<T> {
  const effective = entry.effective.toLowerCase()
  return effective === entry.effective ? entry : { ...entry, effective }
}
