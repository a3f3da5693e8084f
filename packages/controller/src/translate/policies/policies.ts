// All policies: what ztunnels enforce, what waypoints enforce, which workloads and listeners name
// which, and what each AuthorizationPolicy's author is told.
import { create } from '@bufbuild/protobuf'
import { ipKey } from '@wishbone/core/ip'
import { type l7, security } from '@wishbone/proto'
import type { AuthorizationPolicy } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import type { MeshWorkload } from '../workloads/workloads.ts'
import { compareText, guarded, keyOf, type World } from '../world.ts'
import { convertAuthorizationPolicy } from './authorization.ts'
import { exempt } from './exemption.ts'
import { peerAuthentications } from './peer-authentication.ts'
import { requestPolicy } from './requests.ts'
import { covers, hasTargetRefs, type PolicyTarget, policyTargets, scopeOf } from './targets.ts'

/** A policy with targetRefs, which only waypoints and gateways enforce. */
export interface TargetedPolicy {
  readonly name: string
  readonly policy: AuthorizationPolicy
  readonly targets: readonly PolicyTarget[]
}

export interface Policies {
  /** Every policy by resource name, as written: what waypoints enforce. */
  readonly messages: ReadonlyMap<string, security.Authorization>
  /** Of the same names, those that speak of requests, as written. */
  readonly requests: ReadonlyMap<string, l7.RequestPolicy>
  /** Names that never go to ztunnels. */
  readonly targeted: readonly TargetedPolicy[]
  /** Sorted names that a workload carries, by uid. */
  readonly ofWorkload: ReadonlyMap<string, readonly string[]>
  readonly verdicts: ReadonlyMap<AuthorizationPolicy, Verdict>
}

export function translatePolicies(world: World, workloads: ReadonlyMap<string, MeshWorkload>): Policies {
  const messages = new Map<string, security.Authorization>()
  const requests = new Map<string, l7.RequestPolicy>()
  const targeted: TargetedPolicy[] = []
  const selecting: AuthorizationPolicy[] = []
  const verdicts = new Map<AuthorizationPolicy, Verdict>()
  for (const policy of world.snapshot.authorizationPolicies) {
    const name = keyOf(policy)
    const hasTargets = hasTargetRefs(policy)
    const scope = hasTargets ? security.Scope.WORKLOAD_SELECTOR : scopeOf(world, policy)
    const converted = guarded(world, policy, () => convertAuthorizationPolicy(policy, scope) ?? 'nothing')
    if (converted === 'nothing') {
      verdicts.set(policy, no('UnsupportedValue', 'action AUDIT decides nothing and is ignored'))
      continue
    }
    // A policy that can't be read denies what it covers: never open by mistake.
    messages.set(name, converted?.message ?? denyAll(policy, scope))
    const request = guarded(world, policy, () => requestPolicy(policy))
    if (request?.message) requests.set(name, request.message)
    const targets = hasTargets ? (guarded(world, policy, () => policyTargets(world, policy)) ?? []) : []
    if (hasTargets) targeted.push({ name, policy, targets })
    else if (scope === security.Scope.WORKLOAD_SELECTOR) selecting.push(policy)
    const unknown = targets.flatMap((target) => (target.kind === 'unknown' ? [target.message] : []))
    // What a waypoint enforces as written needs no note; a policy for workloads may be judged by ztunnels alone.
    const notes = hasTargets ? request?.notes : converted?.notes
    verdicts.set(policy, verdictOf(converted && notes, unknown))
  }
  const peers = peerAuthentications(world)
  for (const message of peers.messages) messages.set(`${message.namespace}/${message.name}`, message)
  const ofWorkload = new Map<string, readonly string[]>()
  for (const { uid, pod } of workloads.values()) {
    if (!pod) continue
    const strict = peers.policyOf(pod)
    const names = selecting.filter((policy) => covers(world, policy, pod)).map(keyOf)
    if (strict) names.push(strict)
    if (names.length > 0) ofWorkload.set(uid, names.sort(compareText))
  }
  return { messages, requests, targeted, ofWorkload, verdicts }
}

/** `waypointsOf`: principals of the waypoints that may carry traffic to a workload, by uid. */
export function ztunnelView(
  policies: Policies,
  workloads: ReadonlyMap<string, MeshWorkload>,
  waypointsOf: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, security.Authorization> {
  const targeted = new Set(policies.targeted.map(({ name }) => name))
  const everywhere: FrontedDraft = new Map()
  const inNamespace = new Map<string, FrontedDraft>()
  const byName = new Map<string, FrontedDraft>()
  for (const [uid, principals] of waypointsOf) {
    const workload = workloads.get(uid)
    // Policies are for pods; what else an EndpointSlice says may be anybody's address.
    if (!workload?.pod) continue
    const { addresses } = workload.message
    for (const principal of principals) {
      addTo(everywhere, principal, addresses)
      addTo(getOrAdd(inNamespace, workload.namespace), principal, addresses)
      for (const name of policies.ofWorkload.get(uid) ?? []) addTo(getOrAdd(byName, name), principal, addresses)
    }
  }
  const view = new Map<string, security.Authorization>()
  for (const [name, message] of policies.messages) {
    if (targeted.has(name)) continue
    const fronted = (() => {
      // Those that ask only for some identity: every waypoint has one.
      if (isPeerAuthentication(message)) return undefined
      if (message.scope === security.Scope.GLOBAL) return everywhere
      return message.scope === security.Scope.NAMESPACE ? inNamespace.get(message.namespace) : byName.get(name)
    })()
    view.set(name, fronted ? exempt(message, fronted) : message)
  }
  return view
}

function isPeerAuthentication({ name }: security.Authorization): boolean {
  return name === 'istio_converted_static_strict' || name.startsWith('converted_peer_authentication_')
}

function verdictOf(notes: readonly string[] | undefined, unknown: readonly string[]): Verdict {
  if (!notes) return no('Invalid', 'the policy can not be read, so that everything it selects is denied; correct it')
  const all = [...unknown, ...notes]
  if (all.length === 0) return yes('Accepted', 'enforced as written')
  return no(unknown.length > 0 ? 'TargetNotFound' : 'UnsupportedValue', all.join('; '))
}

function denyAll(policy: AuthorizationPolicy, scope: security.Scope): security.Authorization {
  return create(security.AuthorizationSchema, {
    name: policy.metadata.name,
    namespace: policy.metadata.namespace ?? '',
    scope,
    action: security.Action.DENY,
    rules: [{ clauses: [] }],
  })
}

/** A Fronted while it is put together. */
type FrontedDraft = Map<string, Map<string, Uint8Array>>

function getOrAdd(map: Map<string, FrontedDraft>, key: string): FrontedDraft {
  const found: FrontedDraft = map.get(key) ?? new Map()
  map.set(key, found)
  return found
}

function addTo(fronted: FrontedDraft, principal: string, addresses: readonly Uint8Array[]): void {
  const found = fronted.get(principal) ?? new Map<string, Uint8Array>()
  fronted.set(principal, found)
  for (const address of addresses) found.set(ipKey(address), address)
}
