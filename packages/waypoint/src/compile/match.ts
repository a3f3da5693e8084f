// From a request's head to the rule that serves it.
import { type Entry, findEntry, firstEntry, type HostTable, type RequestHead } from '@wishbone/core/matching'
import type { ListenerTable, Protocol, Rule, TcpRule } from './types.ts'

export interface Match {
  readonly kind: 'match'
  readonly rule: Rule
  /** The path prefix that matched, without its final slash; "" otherwise. */
  readonly matchedPrefix: string
}

export interface NoMatch {
  readonly kind: 'no-match'
}

const noMatch: NoMatch = { kind: 'no-match' }
const matches = new WeakMap<Entry<Rule>, Match>()
const matchesItself = new WeakMap<ListenerTable, Match>()

/** `sourceNamespace`: the client's, if known. */
export function match(
  listener: ListenerTable,
  head: RequestHead,
  sourceNamespace: string | undefined,
): Match | NoMatch {
  const table = tablesFor(listener, sourceNamespace).http
  if (table === null) return servesItself(listener)
  const entry = findEntry(table, head)
  return entry === undefined ? noMatch : matchOf(entry)
}

/** `sni` is "" for connections without TLS. Undefined: no route matches; null: there is none, go to the Service itself. */
export function matchTcp(
  listener: ListenerTable,
  sni: string,
  sourceNamespace: string | undefined,
): TcpRule | null | undefined {
  const { tcp } = tablesFor(listener, sourceNamespace)
  return tcp === null ? null : firstEntry(tcp, sni)?.target
}

/** What a client of this namespace speaks here: the routes that are for it say so where there are any, else the listener. */
export function protocolFor(listener: ListenerTable, sourceNamespace: string | undefined): Protocol {
  const { protocol } = listener
  const tables = tablesFor(listener, sourceNamespace)
  const { http, tcp } = tables
  const isConsumer = tables !== listener
  if (http !== null) return isConsumer && protocol !== 'http2' ? 'http' : protocol
  if (tcp === null) return protocol
  const asksForServer = isConsumer ? tcp.exact.size + tcp.wildcard.size > 0 : protocol === 'tls'
  return asksForServer ? 'tls' : 'tcp'
}

function tablesFor(
  listener: ListenerTable,
  sourceNamespace: string | undefined,
): { readonly http: HostTable<Rule> | null; readonly tcp: HostTable<TcpRule> | null } {
  if (sourceNamespace === undefined || listener.consumers.size === 0) return listener
  return listener.consumers.get(sourceNamespace) ?? listener
}

function matchOf(entry: Entry<Rule>): Match {
  let found = matches.get(entry)
  if (found === undefined) {
    const matchedPrefix = entry.path.kind === 'prefix' ? entry.path.value : ''
    matches.set(entry, (found = { kind: 'match', rule: entry.target, matchedPrefix }))
  }
  return found
}

function servesItself(listener: ListenerTable): Match | NoMatch {
  if (listener.itself === null) return noMatch
  let found = matchesItself.get(listener)
  if (found === undefined)
    matchesItself.set(listener, (found = { kind: 'match', rule: listener.itself, matchedPrefix: '' }))
  return found
}
