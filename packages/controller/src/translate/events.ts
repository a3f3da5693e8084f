// What is wrong with objects that have no status of ours, and with policies that enforce something else than they say:
// events for `kubectl describe` and `kubectl events`.
import type { AuthorizationPolicy, KubeObject } from '../kinds/index.ts'
import type { EventOf } from '../model/index.ts'
import { labels } from './names.ts'
import type { Enforcement } from './policies/enforcement.ts'
import { hasTargetRefs } from './policies/targets.ts'
import { type Bindings, usability } from './waypoints/binding.ts'
import type { Waypoint } from './waypoints/catalog.ts'
import type { MeshWorkload } from './workloads/workloads.ts'
import type { World } from './world.ts'

export interface EventInput {
  readonly waypoints: ReadonlyMap<string, Waypoint>
  readonly workloads: ReadonlyMap<string, MeshWorkload>
  readonly bindings: Bindings
  readonly enforcement: ReadonlyMap<AuthorizationPolicy, Enforcement>
}

/** Not worth an event: it passes by itself, and is in the Gateway's status. */
const passing = new Set(['WaypointIsNotReady', 'WaitingForWaypoint', 'OptedOut', 'NamespaceNotEnrolled'])
/** Kinds that are told what is wrong with them in their status. */
const withStatus = new Set([
  'Gateway',
  'HTTPRoute',
  'GRPCRoute',
  'TCPRoute',
  'TLSRoute',
  'UDPRoute',
  'Service',
  'AuthorizationPolicy',
  'PeerAuthentication',
  'ListenerSet',
  'BackendTLSPolicy',
])

export function eventsOf(world: World, input: EventInput): readonly EventOf[] {
  const events: EventOf[] = []
  const warn = (object: KubeObject, reason: string, message: string): void => {
    events.push({ object: referenceTo(object), reason, message })
  }
  for (const [policy, { verdict, bypassed }] of input.enforcement) {
    // ADR 4, departure 5: at a ztunnel an ALLOW rule with such fields matches nothing, a DENY rule more than it says.
    if (verdict.status === 'False' && !hasTargetRefs(policy)) warn(policy, verdict.reason, verdict.message)
    if (bypassed && bypassed.reason !== 'WaitingForWaypoint') warn(policy, bypassed.reason, bypassed.message)
  }
  for (const namespace of world.snapshot.namespaces) {
    const { name } = namespace.metadata
    const verdict = usability(input.waypoints, namespace.metadata.labels ?? {}, name)
    if (verdict !== undefined) warn(namespace, verdict.reason, verdict.message)
  }
  for (const { uid, pod } of input.workloads.values()) {
    const verdict = input.bindings.workloads.get(uid)?.verdict
    if (!pod?.metadata.labels?.[labels.useWaypoint] || verdict?.status !== 'False' || passing.has(verdict.reason))
      continue
    warn(pod, verdict.reason, verdict.message)
  }
  for (const { object, message } of world.problems) {
    if (withStatus.has(object.kind)) continue
    warn(object, 'Invalid', `the ${object.kind} can not be translated: ${message}; correct it`)
  }
  return events
}

function referenceTo({ apiVersion, kind, metadata }: KubeObject): EventOf['object'] {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid ?? '' }
}
