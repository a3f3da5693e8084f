// Whether a RequestPolicy matches one HTTP request. The structure is that of matchesPolicy (rules ORed, clauses ANDed,
// matches ORed, fields ANDed, values ORed), with what a request says beside what its connection says.
import { type l7, security } from '@wishbone/proto'
import type { IpBytes } from '../ip/address.ts'
import { anyNetwork, type ConnectionFacts, isEmpty, matchesMatch, matchesString } from './match.ts'
import { pathReadings } from './paths.ts'

/** What is known of a request when it is judged. */
export interface RequestFacts {
  readonly method: string
  /** Without the query, as received. */
  readonly path: string
  /** Host and, where the client wrote one, port. */
  readonly authority: string
  /** The client's address where it is not the connection's. */
  readonly remoteIp?: IpBytes | undefined
  /** The value of a header, by its lower-case name; several are joined by commas. */
  header(name: string): string | undefined
}

/**
 * A backend may read a path otherwise than it is written (dot segments, escapes, doubled slashes). A DENY policy matches
 * where any reading of the path does, an ALLOW policy only where all do: no spelling gets past a policy.
 */
export function matchesRequestPolicy(
  policy: l7.RequestPolicy,
  connection: ConnectionFacts,
  request: RequestFacts,
): boolean {
  const readings = pathReadings(request.path)
  const matchesReading = (path: string) => policy.rules.some((rule) => matchesRule(rule, connection, request, path))
  return policy.action === security.Action.ALLOW ? readings.every(matchesReading) : readings.some(matchesReading)
}

function matchesRule(rule: l7.RequestRule, connection: ConnectionFacts, request: RequestFacts, path: string): boolean {
  return rule.clauses.every(
    ({ matches }) =>
      matches.length === 0 || matches.some((match) => !isSilent(match) && holds(match, connection, request, path)),
  )
}

/** Whether no field has a value. */
function isSilent(match: l7.PolicyMatch): boolean {
  const lists = [
    match.methods,
    match.notMethods,
    match.paths,
    match.notPaths,
    match.hosts,
    match.notHosts,
    match.trustDomains,
    match.notTrustDomains,
    match.remoteIps,
    match.notRemoteIps,
    match.headers,
  ]
  return lists.every((list) => list.length === 0) && (match.connection === undefined || isEmpty(match.connection))
}

function holds(match: l7.PolicyMatch, connection: ConnectionFacts, request: RequestFacts, path: string): boolean {
  if (match.connection !== undefined && !matchesMatch(match.connection, connection)) return false
  if (!fits(match.methods, match.notMethods, [request.method])) return false
  if (!fits(match.paths, match.notPaths, [path])) return false
  const authority = request.authority.toLowerCase()
  if (!fits(match.hosts, match.notHosts, [authority, withoutPort(authority)])) return false
  const trustDomain = connection.source?.trustDomain
  if (!fits(match.trustDomains, match.notTrustDomains, trustDomain === undefined ? [] : [trustDomain])) return false
  const remoteIp = request.remoteIp ?? connection.sourceIp
  if (match.remoteIps.length > 0 && !anyNetwork(match.remoteIps, remoteIp)) return false
  if (anyNetwork(match.notRemoteIps, remoteIp)) return false
  return match.headers.every(({ name, values, notValues }) => {
    return fits(values, notValues, headerTexts(request, name))
  })
}

/** What HTTP/1 says in Host and in its first line, and HTTP/2 in pseudo-headers, is one header for policies, as it is in Envoy. */
function headerTexts(request: RequestFacts, name: string): readonly string[] {
  if (name === 'host' || name === ':authority') return [request.authority, request.authority.toLowerCase()]
  if (name === ':method') return [request.method]
  const value = request.header(name)
  return value === undefined ? [] : [value]
}

/** `texts`: the forms that the value has; none: it is absent, and fits no wanted value. */
function fits(
  wanted: readonly security.StringMatch[],
  unwanted: readonly security.StringMatch[],
  texts: readonly string[],
): boolean {
  const any = (matches: readonly security.StringMatch[]) =>
    matches.some((match) => texts.some((text) => matchesString(match, text)))
  return (wanted.length === 0 || any(wanted)) && !any(unwanted)
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d*$/, '')
}

/** The first thing that is wrong with a policy, in words; undefined when all of it is understood. */
export function validateRequestPolicy(policy: l7.RequestPolicy): string | undefined {
  if (policy.name === '') return 'the policy has no name'
  if (policy.action > security.Action.DENY) return `unknown action ${policy.action}`
  for (const { clauses } of policy.rules)
    for (const { matches } of clauses)
      for (const match of matches) {
        const lists = [match.methods, match.notMethods, match.paths, match.notPaths, match.hosts, match.notHosts]
        lists.push(match.trustDomains, match.notTrustDomains)
        lists.push(...match.headers.flatMap(({ values, notValues }) => [values, notValues]))
        // A match that says nothing is one whose fields are of a later release.
        if (isSilent(match) || lists.flat().some(({ matchType }) => matchType.case === undefined))
          return 'a match of an unknown kind'
      }
  return undefined
}
