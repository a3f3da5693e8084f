// One Route resource: its rule, and its entries for one of its parents.
import { compilePath, compileValues, type Entry, type PathSpec, type ValueSpec } from '@wishbone/core/matching'
import type { l7 } from '@wishbone/proto'
import { toMs } from './duration.ts'
import { compileFilters } from './filters.ts'
import type { Rule, TcpRule } from './types.ts'
import { compileWeighted } from './weighted.ts'

// Equal messages give equal rules; the same message gives the same rule, so that what the pipeline remembers of a rule
// (shares of weights) lives through changes of other routes.
const rules = new WeakMap<l7.Route, Rule>()
const tcpRules = new WeakMap<l7.TcpRoute, TcpRule>()
// The same for the entries that a route has with one of its parents, and for what was wrong with them.
interface Compiled<T> {
  readonly entries: readonly Entry<T>[]
  readonly problems: readonly string[]
}
const compiled = new WeakMap<l7.RouteParent, Compiled<Rule>>()
const compiledTcp = new WeakMap<l7.RouteParent, readonly Entry<TcpRule>[]>()

export function compileRule(route: l7.Route): Rule {
  const known = rules.get(route)
  if (known !== undefined) return known
  const { retry } = route
  const rule: Rule = {
    name: route.name,
    source: route.source,
    grpc: route.grpc,
    filters: compileFilters(route.filters),
    backends: compileWeighted(route.backends),
    requestTimeoutMs: toMs(route.timeouts?.request) || undefined,
    backendTimeoutMs: toMs(route.timeouts?.backendRequest) || undefined,
    retry:
      retry === undefined
        ? undefined
        : { codes: new Set(retry.codes), attempts: retry.attempts, backoffMs: toMs(retry.backoff) ?? 0 },
  }
  rules.set(route, rule)
  return rule
}

export function compileTcpRule(route: l7.TcpRoute): TcpRule {
  const known = tcpRules.get(route)
  if (known !== undefined) return known
  const rule: TcpRule = { name: route.name, source: route.source, backends: compileWeighted(route.backends) }
  tcpRules.set(route, rule)
  return rule
}

/** Entries for each match and hostname. A match that does not compile is left out and reported. */
export function entriesOf(
  route: l7.Route,
  parent: l7.RouteParent,
  report: (reason: string) => void,
): readonly Entry<Rule>[] {
  let known = compiled.get(parent)
  if (known === undefined) {
    const problems: string[] = []
    known = { entries: compileEntries(route, parent.hostnames, (reason) => problems.push(reason)), problems }
    compiled.set(parent, known)
  }
  for (const problem of known.problems) report(problem)
  return known.entries
}

function compileEntries(
  route: l7.Route,
  hostnames: readonly l7.RouteHostname[],
  report: (reason: string) => void,
): readonly Entry<Rule>[] {
  const target = compileRule(route)
  const entries: Entry<Rule>[] = []
  const matches = route.matches.length > 0 ? route.matches : [undefined]
  for (const request of matches) {
    const path = compilePath(pathSpec(request?.path))
    const headers = compileValues((request?.headers ?? []).map(valueSpec), true)
    const query = compileValues((request?.query ?? []).map(valueSpec), false)
    if (path === undefined || headers === undefined || query === undefined) {
      report(`match ${request?.index ?? 0} has a regular expression that is not RE2 syntax`)
      continue
    }
    const precedence = { ...precedenceOf(route.precedence), match: request?.index ?? 0 }
    const method = request?.method ?? ''
    for (const { effective, original } of hostnames.length > 0 ? hostnames : anyHost)
      entries.push({ effective, original, path, method, headers, query, precedence, resource: route.name, target })
  }
  return entries
}

/** For TLSRoutes hostnames are compared with the SNI; for TCPRoutes there are none. */
export function tcpEntriesOf(route: l7.TcpRoute, parent: l7.RouteParent): readonly Entry<TcpRule>[] {
  let entries = compiledTcp.get(parent)
  if (entries === undefined) compiledTcp.set(parent, (entries = compileTcpEntries(route, parent.hostnames)))
  return entries
}

function compileTcpEntries(route: l7.TcpRoute, hostnames: readonly l7.RouteHostname[]): readonly Entry<TcpRule>[] {
  const target = compileTcpRule(route)
  const precedence = { ...precedenceOf(route.precedence), match: 0 }
  return (hostnames.length > 0 ? hostnames : anyHost).map(({ effective, original }) => ({
    effective,
    original,
    path: { kind: 'prefix', value: '' },
    method: '',
    headers: [],
    query: [],
    precedence,
    resource: route.name,
    target,
  }))
}

const anyHost = [{ effective: '', original: '' }]

function precedenceOf(precedence: l7.Precedence | undefined) {
  return {
    createdUnixMs: Number(precedence?.createdUnixMs ?? 0n),
    namespace: precedence?.namespace ?? '',
    name: precedence?.name ?? '',
    rule: precedence?.rule ?? 0,
  }
}

function pathSpec(path: l7.PathMatch | undefined): PathSpec | undefined {
  const kind = path?.kind
  return kind?.case === undefined ? undefined : { kind: kind.case, value: kind.value }
}

function valueSpec(match: l7.ValueMatch): ValueSpec {
  return { name: match.name, kind: match.kind.case ?? 'exact', value: match.kind.value ?? '' }
}
