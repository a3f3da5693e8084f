// The copy of a policy that goes to ztunnels: the waypoints that enforce it themselves, on the
// client's own identity, are exempt (ADR 4, departure 1).
import { clone, create } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'

/** `principals`: of the waypoints that may carry traffic to what the policy covers; sorted. */
export function exempt(policy: security.Authorization, principals: readonly string[]): security.Authorization {
  if (principals.length === 0) return policy
  const exact = principals.map((value) => create(security.StringMatchSchema, { matchType: { case: 'exact', value } }))
  const copy = clone(security.AuthorizationSchema, policy)
  if (copy.action === security.Action.ALLOW) {
    copy.rules.push(create(security.RuleSchema, { clauses: [{ matches: [{ principals: exact }] }] }))
    return copy
  }
  for (const rule of copy.rules) {
    rule.clauses.push(create(security.ClauseSchema, { matches: [{ notPrincipals: exact }] }))
  }
  return copy
}
