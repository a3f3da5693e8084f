// One Route resource: its rule, and its entries for one of its parents.
import { compilePath, compileValues, type Entry, type PathSpec, type ValueSpec } from '@wishbone/core/matching'
import type { l7 } from '@wishbone/proto'
import { toMs } from './duration.ts'
import { compileFilters } from './filters.ts'
import type { Rule, TcpRule } from './types.ts'
import { compileWeighted } from './weighted.ts'

/** What a route has with one of its parents. */
export interface Attachment<T> {
  readonly listener: string
  /** Whose clients it is for; "": the producer's route, for all. */
  readonly namespace: string
  readonly entries: readonly Entry<T>[]
}

/** Entries for each parent, match and hostname. A match that does not compile is left out and reported. */
export function attachmentsOf(route: l7.Route, report: (reason: string) => void): readonly Attachment<Rule>[] {
  const target = compileRule(route)
  // Once, however many parents there are: a route may be at all of dozens of listeners.
  const matches = compileMatches(route, report)
  return route.parents.map(({ listener, hostnames }) => ({
    listener,
    namespace: route.consumerNamespace,
    entries: matches.flatMap((match) =>
      (hostnames.length > 0 ? hostnames : anyHost).map(({ effective, original }) => ({
        effective,
        original,
        ...match,
        resource: route.name,
        target,
      })),
    ),
  }))
}

function compileRule(route: l7.Route): Rule {
  const { retry } = route
  return {
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
}

type CompiledMatch = Pick<Entry<Rule>, 'path' | 'method' | 'headers' | 'query' | 'precedence'>

function compileMatches(route: l7.Route, report: (reason: string) => void): readonly CompiledMatch[] {
  const compiled: CompiledMatch[] = []
  const matches = route.matches.length > 0 ? route.matches : [undefined]
  for (const request of matches) {
    if (isOfLaterVersion(request)) {
      report(`match ${request?.index ?? 0} is of a kind that this version does not know`)
      continue
    }
    const path = compilePath(pathSpec(request?.path))
    const headers = compileValues((request?.headers ?? []).map(valueSpec), true)
    const query = compileValues((request?.query ?? []).map(valueSpec), false)
    if (path === undefined || headers === undefined || query === undefined) {
      report(`match ${request?.index ?? 0} has a regular expression that is not RE2 syntax or too large`)
      continue
    }
    const precedence = { ...precedenceOf(route.precedence), match: request?.index ?? 0 }
    compiled.push({ path, method: request?.method ?? '', headers, query, precedence })
  }
  return compiled
}

/** For TLSRoutes hostnames are compared with the SNI; for TCPRoutes there are none. */
export function tcpAttachmentsOf(route: l7.TcpRoute): readonly Attachment<TcpRule>[] {
  const target: TcpRule = { name: route.name, source: route.source, backends: compileWeighted(route.backends) }
  const precedence = { ...precedenceOf(route.precedence), match: 0 }
  const entryOf = ({ effective, original }: RouteHostnames): Entry<TcpRule> => ({
    effective,
    original,
    path: { kind: 'prefix', value: '' },
    method: '',
    headers: [],
    query: [],
    precedence,
    resource: route.name,
    target,
  })
  return route.parents.map(({ listener, hostnames }) => ({
    listener,
    namespace: route.consumerNamespace,
    entries: (hostnames.length > 0 ? hostnames : anyHost).map(entryOf),
  }))
}

type RouteHostnames = Pick<l7.RouteHostname, 'effective' | 'original'>

const anyHost = [{ effective: '', original: '' }]

function precedenceOf(precedence: l7.Precedence | undefined) {
  return {
    createdUnixMs: Number(precedence?.createdUnixMs ?? 0n),
    namespace: precedence?.namespace ?? '',
    name: precedence?.name ?? '',
    rule: precedence?.rule ?? 0,
  }
}

/** It is for some requests, and which nobody can tell: that is none, and not all. */
function isOfLaterVersion(match: l7.RequestMatch | undefined): boolean {
  if (match === undefined) return false
  const conditions = [...(match.path === undefined ? [] : [match.path]), ...match.headers, ...match.query]
  return conditions.some(({ kind }) => kind.case === undefined)
}

function pathSpec(path: l7.PathMatch | undefined): PathSpec | undefined {
  const kind = path?.kind
  return kind?.case === undefined ? undefined : { kind: kind.case, value: kind.value }
}

function valueSpec(match: l7.ValueMatch): ValueSpec {
  return { name: match.name, kind: match.kind.case ?? 'exact', value: match.kind.value ?? '' }
}
