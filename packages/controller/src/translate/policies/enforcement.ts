// What the author of a policy with targetRefs is told besides what the policy itself says: whether a waypoint enforces it now.
import type { AuthorizationPolicy } from '../../kinds/index.ts'
import { no, type Verdict } from '../conditions.ts'
import type { TranslatedGateway } from '../gateways/gateways.ts'
import type { Bindings } from '../waypoints/binding.ts'
import type { Waypoint } from '../waypoints/catalog.ts'
import type { Policies } from './policies.ts'
import type { PolicyTarget } from './targets.ts'

export interface EnforcementInput {
  readonly policies: Policies
  readonly bindings: Bindings
  readonly gateways: ReadonlyMap<string, TranslatedGateway>
  readonly waypoints: ReadonlyMap<string, Waypoint>
}

/** Why a policy is not what its author thinks it is. */
interface Shortfall {
  /** passes: traffic goes its way and the policy is not asked; refused: nothing passes, since no waypoint can ask it. */
  readonly traffic: 'passes' | 'refused'
  readonly reason: string
  readonly message: string
}

export interface Enforcement {
  readonly verdict: Verdict
  /** Traffic passes that the policy should judge. */
  readonly bypassed?: Verdict
}

export function enforcementOf(input: EnforcementInput): ReadonlyMap<AuthorizationPolicy, Enforcement> {
  const targets = new Map(input.policies.targeted.map((targeted) => [targeted.policy, targeted.targets]))
  const found = new Map<AuthorizationPolicy, Enforcement>()
  for (const [policy, verdict] of input.policies.verdicts) {
    const shortfalls = (targets.get(policy) ?? []).flatMap((target) => shortfallsOf(target, input))
    const bypassed = verdictOf(shortfalls.filter(({ traffic }) => traffic === 'passes'))
    found.set(policy, { verdict: withShortfalls(verdict, shortfalls), ...(bypassed ? { bypassed } : {}) })
  }
  return found
}

function withShortfalls(verdict: Verdict, shortfalls: readonly Shortfall[]): Verdict {
  const found = verdictOf(shortfalls)
  if (!found) return verdict
  if (verdict.status === 'True') return found
  return { ...verdict, message: `${verdict.message}; ${found.message}` }
}

/** What lets traffic pass comes first, and gives the reason. */
function verdictOf(shortfalls: readonly Shortfall[]): Verdict | undefined {
  const sorted = [
    ...shortfalls.filter(({ traffic }) => traffic === 'passes'),
    ...shortfalls.filter(({ traffic }) => traffic === 'refused'),
  ]
  const [first] = sorted
  return first && no(first.reason, sorted.map(({ message }) => message).join('; '))
}

function shortfallsOf(target: PolicyTarget, input: EnforcementInput): readonly Shortfall[] {
  switch (target.kind) {
    case 'unknown':
      return []
    case 'class':
      return [...input.waypoints.values()]
        .filter(({ gateway }) => gateway.spec.gatewayClassName === target.name)
        .flatMap(unready)
    case 'gateway':
      return ofGateway(target.key, input)
    case 'service':
      return ofService(target.key, input.bindings)
  }
}

function ofGateway(key: string, { gateways, waypoints }: EnforcementInput): readonly Shortfall[] {
  const gateway = gateways.get(key)
  if (!gateway) {
    const message = `Gateway ${key} is none of this mesh; nothing enforces the policy there`
    return [{ traffic: 'passes', reason: 'TargetNotFound', message }]
  }
  // A gateway without a pod serves nobody, and says so itself.
  if (gateway.kind === 'gateway') return []
  const waypoint = waypoints.get(key)
  if (waypoint) return unready(waypoint)
  const message = `Gateway ${key} can not serve as a waypoint, and what names it is refused; see its status`
  return [{ traffic: 'refused', reason: 'WaypointMissing', message }]
}

function unready({ key, ready }: Waypoint): readonly Shortfall[] {
  if (ready) return []
  const message = `what is sent through waypoint ${key} is refused: it has no ready pod; see its Deployment`
  return [{ traffic: 'refused', reason: 'WaypointIsNotReady', message }]
}

function ofService(key: string, bindings: Bindings): readonly Shortfall[] {
  const binding = bindings.services.get(key)
  const why = binding?.verdict?.message ?? 'it has no waypoint; label it istio.io/use-waypoint'
  if (binding?.kind === 'refused' || (binding?.kind === 'bound' && binding.pointed)) {
    if (binding.verdict.status === 'True') return []
    const message = `requests to Service ${key} are refused, since nothing can judge them by the policy: ${why}`
    return [{ traffic: 'refused', reason: binding.verdict.reason, message }]
  }
  // For a Service it is a choice, for its policy a fault.
  const optedOut = binding?.verdict?.reason === 'OptedOut'
  const hint = optedOut ? ', on it or its namespace; take that label away, or this policy' : ''
  const reason = optedOut ? 'TargetOptedOut' : (binding?.verdict?.reason ?? 'WaypointMissing')
  return [{ traffic: 'passes', reason, message: `nothing enforces the policy for Service ${key}: ${why}${hint}` }]
}
