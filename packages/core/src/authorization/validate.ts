// What a policy must look like to be judged. One that we cannot read must not be half applied.
import { security } from '@wishbone/proto'

/** The first thing that is wrong with a policy, in words; undefined when all of it is understood. */
export function validateAuthorization(policy: security.Authorization): string | undefined {
  if (policy.name === '') return 'the policy has no name'
  if (policy.scope > security.Scope.WORKLOAD_SELECTOR) return `unknown scope ${policy.scope}`
  if (policy.action > security.Action.DENY) return `unknown action ${policy.action}`
  for (const rule of policy.rules)
    for (const clause of rule.clauses)
      for (const match of clause.matches) {
        const problem = validateMatch(match)
        if (problem !== undefined) return problem
      }
  return undefined
}

function validateMatch(match: security.Match): string | undefined {
  for (const list of [match.namespaces, match.notNamespaces, match.principals, match.notPrincipals])
    for (const text of list) if (text.matchType.case === undefined) return 'a string match of an unknown kind'
  for (const list of [match.sourceIps, match.notSourceIps, match.destinationIps, match.notDestinationIps])
    for (const network of list) {
      const bytes = network.address.length
      if (bytes !== 4 && bytes !== 16) return `an IP address of ${bytes} bytes`
      if (network.length > bytes * 8) return `a prefix length of ${network.length} for ${bytes * 8} bits`
    }
  return undefined
}
