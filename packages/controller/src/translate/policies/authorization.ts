// AuthorizationPolicy to istio.security.Authorization (ambient wire §4.4, with ADR 4, departure 5:
// what layer 4 can't judge makes an ALLOW rule match nothing and a DENY rule broader).

import { create } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'
import type { AuthorizationPolicy } from '../../kinds/index.ts'
import { annotations } from '../names.ts'
import { createSound } from '../sound.ts'
import { effectOf, oddities, operationMatch, type PartialMatch, sourceMatch, whenMatch } from './matches.ts'

type PolicyRule = NonNullable<AuthorizationPolicy['spec']['rules']>[number]

export interface ConvertedPolicy {
  readonly message: security.Authorization
  /** What was not enforced as written, one sentence each; empty: all of it is. */
  readonly notes: readonly string[]
}

/** `scope` follows from the policy's place and selector. Undefined: an action that decides nothing (AUDIT). */
export function convertAuthorizationPolicy(
  policy: AuthorizationPolicy,
  scope: security.Scope,
): ConvertedPolicy | undefined {
  if (policy.spec.action === 'AUDIT') return undefined
  const { deny, notes } = effectOf(policy)
  const rules: security.Rule[] = []
  for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
    const { clauses, unsupported } = clausesOf(rule, policy.metadata.namespace ?? '')
    if (unsupported.length > 0) {
      const fields = [...new Set(unsupported)].join(', ')
      notes.push(
        deny
          ? `rule ${index}: ${fields} can't be judged at layer 4 and were left out, so that it denies more than written`
          : `rule ${index}: ${fields} can't be judged at layer 4, so that it allows nothing`,
      )
      if (!deny) continue
    }
    const kept = deny ? clauses.filter((matches) => matches.every(({ empty }) => !empty)) : clauses
    rules.push(
      create(security.RuleSchema, { clauses: kept.map((matches) => ({ matches: matches.map(({ match }) => match) })) }),
    )
  }
  const message = createSound(security.AuthorizationSchema, {
    name: policy.metadata.name,
    namespace: policy.metadata.namespace ?? '',
    scope,
    action: deny ? security.Action.DENY : security.Action.ALLOW,
    rules,
    dryRun: policy.metadata.annotations?.[annotations.dryRun] === 'true',
  })
  return { message, notes }
}

/** Clause 1: all `to`; clause 2: all `from`; then one for each `when`. */
function clausesOf(rule: PolicyRule, namespace: string) {
  const clauses: PartialMatch[][] = []
  if (rule.to?.length) clauses.push(rule.to.map(({ operation }) => operationMatch(operation ?? {})))
  if (rule.from?.length) clauses.push(rule.from.map(({ source }) => sourceMatch(source ?? {}, namespace)))
  for (const when of rule.when ?? []) clauses.push([whenMatch(when)])
  return { clauses, unsupported: [...oddities(rule), ...clauses.flat().flatMap(({ unsupported }) => unsupported)] }
}
