// One match of one rule of one route, and the order in which entries are tried (Gateway API HTTPRouteRule.matches,
// GEP-1426 for the hostname first). The order is total: equal only to itself.
import type { PathMatch } from './path.ts'
import type { NamedMatch } from './value.ts'

export interface Precedence {
  readonly createdUnixMs: number
  readonly namespace: string
  readonly name: string
  /** Index of the rule in its route. */
  readonly rule: number
  /** Index of the match in its rule. */
  readonly match: number
}

export interface Entry<T> {
  /** What a request's host is compared with. */
  readonly effective: string
  /** The hostname as the route wrote it; "" when it wrote none. */
  readonly original: string
  readonly path: PathMatch
  /** "" is every method. */
  readonly method: string
  readonly headers: readonly NamedMatch[]
  readonly query: readonly NamedMatch[]
  readonly precedence: Precedence
  /** Name of the resource: tells entries apart whose precedence is equal. */
  readonly resource: string
  readonly target: T
}

const pathRank = { exact: 2, regex: 1, prefix: 0 } as const

/** Negative: `a` is tried before `b`. */
export function compareEntries<T>(a: Entry<T>, b: Entry<T>): number {
  return (
    hostRank(b.original) - hostRank(a.original) ||
    pathRank[b.path.kind] - pathRank[a.path.kind] ||
    b.path.value.length - a.path.value.length ||
    Number(b.method !== '') - Number(a.method !== '') ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    a.precedence.createdUnixMs - b.precedence.createdUnixMs ||
    compareText(a.precedence.namespace, b.precedence.namespace) ||
    compareText(a.precedence.name, b.precedence.name) ||
    a.precedence.rule - b.precedence.rule ||
    a.precedence.match - b.precedence.match ||
    compareText(a.resource, b.resource) ||
    // One rule attached with several hostnames of equal rank: any fixed order will do, only one can match.
    compareText(a.original, b.original) ||
    compareText(a.effective, b.effective)
  )
}

/** Exact before longer wildcard before shorter wildcard before none. */
function hostRank(original: string): number {
  if (original === '') return 0
  return original.startsWith('*.') ? original.length : 1024 + original.length
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
