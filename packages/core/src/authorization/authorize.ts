// The verdict over all policies of a workload: dry runs are only reported, DENY wins, then ALLOW decides (ambient wire §4.3).
import { security } from '@wishbone/proto'
import { authorizationName } from '../names/resources.ts'
import { type ConnectionFacts, matchesPolicy } from './match.ts'

export type Authorization = security.Authorization

export interface AuthorizationResult {
  readonly allowed: boolean
  /** <namespace>/<name> of the policy that decided: with reason denied-by and allowed-by. */
  readonly policy?: string
  /** no-policies: no ALLOW policy is there and no DENY policy matched. */
  readonly reason: 'no-policies' | 'denied-by' | 'allowed-by' | 'no-allow-matched'
  /** The dry-run policies that matched; they had no part in the answer. */
  readonly dryRun: readonly string[]
}

const none: readonly string[] = []

/** What a verdict needs of a policy, whatever its form. */
export interface Judged {
  readonly namespace: string
  readonly name: string
  readonly action: security.Action
  readonly dryRun: boolean
}

/** Judges one connection. `policies` are all that apply to the workload, in any order. */
export function authorize(policies: readonly Authorization[], facts: ConnectionFacts): AuthorizationResult {
  return decide(policies, (policy) => matchesPolicy(policy, facts))
}

/** The verdict, given which policies match. `matches` is asked at most once for each. */
export function decide<P extends Judged>(policies: readonly P[], matches: (policy: P) => boolean): AuthorizationResult {
  let hasAllow = false
  let denied: P | undefined
  let dryRun = none
  for (const policy of policies) {
    if (policy.dryRun) {
      if (matches(policy)) dryRun = [...dryRun, nameOf(policy)]
    } else if (policy.action === security.Action.ALLOW) hasAllow = true
    // Anything that is not ALLOW denies: an action of a later protocol must not open anything.
    else if (denied === undefined && matches(policy)) denied = policy
  }
  if (denied !== undefined) return { allowed: false, policy: nameOf(denied), reason: 'denied-by', dryRun }
  if (!hasAllow) return { allowed: true, reason: 'no-policies', dryRun }
  for (const policy of policies)
    if (!policy.dryRun && policy.action === security.Action.ALLOW && matches(policy))
      return { allowed: true, policy: nameOf(policy), reason: 'allowed-by', dryRun }
  return { allowed: false, reason: 'no-allow-matched', dryRun }
}

/** One policy's part in a verdict. */
export interface PolicyVerdict {
  readonly policy: string
  readonly action: 'allow' | 'deny'
  readonly dryRun: boolean
  readonly matched: boolean
}

/** Every policy that was looked at and whether it matched, for `explain`. */
export function explain(policies: readonly Authorization[], facts: ConnectionFacts): readonly PolicyVerdict[] {
  return policies.map((policy) => ({
    policy: nameOf(policy),
    action: policy.action === security.Action.ALLOW ? 'allow' : 'deny',
    dryRun: policy.dryRun,
    matched: matchesPolicy(policy, facts),
  }))
}

function nameOf(policy: Judged): string {
  return authorizationName(policy.namespace, policy.name)
}
