// What an AuthorizationPolicy applies to: workloads (by place and selector) or, by targetRefs,
// what arrives at a waypoint or gateway.
import { security } from '@wishbone/proto'
import type { AuthorizationPolicy, Pod } from '../../kinds/index.ts'
import { gatewayGroup } from '../names.ts'
import { hasLabels } from '../selector.ts'
import type { World } from '../world.ts'

export type PolicyTarget =
  /** By `<namespace>/<name>`. */
  | { readonly kind: 'service'; readonly key: string }
  | { readonly kind: 'gateway'; readonly key: string }
  | { readonly kind: 'class'; readonly name: string }
  | { readonly kind: 'unknown'; readonly message: string }

/** Empty: the policy is one for workloads. */
export function policyTargets(world: World, policy: AuthorizationPolicy): readonly PolicyTarget[] {
  const namespace = policy.metadata.namespace ?? ''
  const { targetRef, targetRefs } = policy.spec
  const refs = targetRefs?.length ? targetRefs : targetRef ? [targetRef] : []
  return refs.map((ref): PolicyTarget => {
    const what = `${ref.kind} ${ref.namespace ?? namespace}/${ref.name}`
    if (ref.namespace && ref.namespace !== namespace) {
      return { kind: 'unknown', message: `${what} is in another namespace than the policy; move the policy there` }
    }
    const key = `${namespace}/${ref.name}`
    if (ref.kind === 'Service' && (ref.group ?? '') === '') {
      return world.services.has(key) ? { kind: 'service', key } : { kind: 'unknown', message: `there is no ${what}` }
    }
    if (ref.group !== gatewayGroup) return { kind: 'unknown', message: `${what} is no kind that policies apply to` }
    if (ref.kind === 'Gateway') return { kind: 'gateway', key }
    if (ref.kind === 'GatewayClass') {
      return namespace === world.settings.systemNamespace
        ? { kind: 'class', name: ref.name }
        : { kind: 'unknown', message: `policies for a GatewayClass must be in ${world.settings.systemNamespace}` }
    }
    return { kind: 'unknown', message: `${what} is no kind that policies apply to` }
  })
}

export function hasTargetRefs({ spec }: AuthorizationPolicy): boolean {
  return (spec.targetRefs?.length ?? 0) > 0 || spec.targetRef !== undefined
}

/** The scope of a policy for workloads. */
export function scopeOf(world: World, policy: AuthorizationPolicy): security.Scope {
  if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0) return security.Scope.WORKLOAD_SELECTOR
  return policy.metadata.namespace === world.settings.systemNamespace ? security.Scope.GLOBAL : security.Scope.NAMESPACE
}

/** Whether a policy for workloads covers the pod. */
export function covers(world: World, policy: AuthorizationPolicy, pod: Pod): boolean {
  const inPlace =
    policy.metadata.namespace === world.settings.systemNamespace || policy.metadata.namespace === pod.metadata.namespace
  return inPlace && hasLabels(pod.metadata.labels, policy.spec.selector?.matchLabels ?? {})
}
