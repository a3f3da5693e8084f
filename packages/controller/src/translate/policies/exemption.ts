// The copy of a policy that goes to ztunnels: the waypoints that enforce it themselves, on the
// client's own identity, are exempt (ADR 4, departure 1), and only towards what they stand in front of.
import { clone, create, type MessageInitShape } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'
import { compareText } from '../world.ts'

/** Addresses of the pods that the waypoints of these principals may carry traffic to, by their text. */
export type Fronted = ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>

type MatchInit = MessageInitShape<typeof security.MatchSchema>

/**
 * `fronted`: of the policy's pods. Whoever may run pods in a namespace may be its waypoint, too. So a waypoint of another namespace
 * than the policy's, the mesh's for instance, is exempt for connections to those pods alone.
 */
export function exempt(policy: security.Authorization, fronted: Fronted): security.Authorization {
  const sorted = [...fronted].sort(([a], [b]) => compareText(a, b))
  const isOwn = (principal: string) => principal.includes(`/ns/${policy.namespace}/sa/`)
  const own = sorted.flatMap(([principal]) => (isOwn(principal) ? [exact(principal)] : []))
  const foreign = sorted.flatMap(([principal, addresses]) =>
    isOwn(principal) || addresses.size === 0 ? [] : [{ principal: exact(principal), networks: networksOf(addresses) }],
  )
  if (own.length === 0 && foreign.length === 0) return policy
  const copy = clone(security.AuthorizationSchema, policy)
  if (copy.action === security.Action.ALLOW) {
    const matches: MatchInit[] = own.length > 0 ? [{ principals: own }] : []
    for (const { principal, networks } of foreign) matches.push({ principals: [principal], destinationIps: networks })
    copy.rules.push(create(security.RuleSchema, { clauses: [{ matches }] }))
    return copy
  }
  const clauses: (readonly MatchInit[])[] = own.length > 0 ? [[{ notPrincipals: own }]] : []
  for (const { principal, networks } of foreign)
    clauses.push([{ notPrincipals: [principal] }, { notDestinationIps: networks }])
  for (const rule of copy.rules)
    rule.clauses.push(...clauses.map((matches) => create(security.ClauseSchema, { matches: [...matches] })))
  return copy
}

function exact(value: string): security.StringMatch {
  return create(security.StringMatchSchema, { matchType: { case: 'exact', value } })
}

function networksOf(addresses: ReadonlyMap<string, Uint8Array>): security.Address[] {
  return [...addresses]
    .sort(([a], [b]) => compareText(a, b))
    .map(([, address]) => create(security.AddressSchema, { address, length: address.length * 8 }))
}
