// Whether one policy matches one connection. Rules are ORed, clauses ANDed, matches ORed, the fields of a match ANDed,
// the values of a field ORed; a not_ field holds when none of its values matches (ambient wire §2.5).
import type { security } from '@wishbone/proto'
import { principalOf, type SpiffeId } from '../identity/spiffe.ts'
import type { IpBytes } from '../ip/address.ts'
import { inCidr } from '../ip/cidr.ts'

/** What is known of a connection when it is judged. `source` comes from mutual TLS only, never from a header. */
export interface ConnectionFacts {
  readonly source?: SpiffeId | undefined
  readonly sourceIp: IpBytes
  readonly destinationIp: IpBytes
  /** The port the application listens on, not the tunnel's. */
  readonly destinationPort: number
}

/** Whether any rule matches. A policy without rules matches nothing; a rule without clauses matches everything. */
export function matchesPolicy(policy: security.Authorization, facts: ConnectionFacts): boolean {
  for (const rule of policy.rules) if (matchesRule(rule, facts)) return true
  return false
}

function matchesRule(rule: security.Rule, facts: ConnectionFacts): boolean {
  for (const clause of rule.clauses) if (!matchesClause(clause, facts)) return false
  return true
}

/** A clause without matches holds; one that has only empty matches does not, for empty matches are skipped. */
function matchesClause(clause: security.Clause, facts: ConnectionFacts): boolean {
  if (clause.matches.length === 0) return true
  for (const match of clause.matches) if (!isEmpty(match) && matchesMatch(match, facts)) return true
  return false
}

export function isEmpty(match: security.Match): boolean {
  return (
    match.namespaces.length === 0 &&
    match.notNamespaces.length === 0 &&
    match.principals.length === 0 &&
    match.notPrincipals.length === 0 &&
    match.sourceIps.length === 0 &&
    match.notSourceIps.length === 0 &&
    match.destinationIps.length === 0 &&
    match.notDestinationIps.length === 0 &&
    match.destinationPorts.length === 0 &&
    match.notDestinationPorts.length === 0 &&
    match.serviceAccounts.length === 0 &&
    match.notServiceAccounts.length === 0
  )
}

export function matchesMatch(match: security.Match, facts: ConnectionFacts): boolean {
  const { source } = facts
  const port = facts.destinationPort
  if (match.destinationPorts.length > 0 && !match.destinationPorts.includes(port)) return false
  if (match.notDestinationPorts.includes(port)) return false
  if (match.sourceIps.length > 0 && !anyNetwork(match.sourceIps, facts.sourceIp)) return false
  if (anyNetwork(match.notSourceIps, facts.sourceIp)) return false
  if (match.namespaces.length > 0 && !anyString(match.namespaces, source?.namespace)) return false
  if (anyString(match.notNamespaces, source?.namespace)) return false
  if (match.serviceAccounts.length > 0 && !anyAccount(match.serviceAccounts, source)) return false
  if (anyAccount(match.notServiceAccounts, source)) return false
  if (match.principals.length > 0 || match.notPrincipals.length > 0) {
    const principal = source === undefined ? undefined : principalOf(source)
    if (match.principals.length > 0 && !anyString(match.principals, principal)) return false
    if (anyString(match.notPrincipals, principal)) return false
  }
  // The longest lists come last: those of what a waypoint stands in front of.
  if (match.destinationIps.length > 0 && !anyNetwork(match.destinationIps, facts.destinationIp)) return false
  return !anyNetwork(match.notDestinationIps, facts.destinationIp)
}

export function anyNetwork(networks: readonly security.Address[], ip: IpBytes): boolean {
  for (const network of networks) if (inCidr(ip, network.address, network.length)) return true
  return false
}

/** No identity matches nothing, so that not_principals with presence means "has no identity". */
function anyString(matches: readonly security.StringMatch[], text: string | undefined): boolean {
  if (text === undefined) return false
  for (const match of matches) if (matchesString(match, text)) return true
  return false
}

export function matchesString({ matchType }: security.StringMatch, text: string): boolean {
  switch (matchType.case) {
    case 'exact':
      return text === matchType.value
    case 'prefix':
      return text.startsWith(matchType.value)
    case 'suffix':
      return text.endsWith(matchType.value)
    case 'presence':
      return text !== ''
    default:
      return false
  }
}

/** The trust domain is not compared: the handshake has already demanded our own. */
function anyAccount(accounts: readonly security.ServiceAccountMatch[], source: SpiffeId | undefined): boolean {
  if (source === undefined) return false
  for (const account of accounts)
    if (account.namespace === source.namespace && account.serviceAccount === source.serviceAccount) return true
  return false
}
