// No way past an L7 policy (ADR 4, departure 2): where a Service has one on its waypoint, the
// ztunnels of its workloads accept its ports only from that waypoint, and from nobody while that is not there.
import { create } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'
import type { MeshService } from '../services/services.ts'
import type { Bindings } from '../waypoints/binding.ts'
import type { MeshWorkload } from '../workloads/workloads.ts'
import { compareText } from '../world.ts'

export interface OnlyWaypoint {
  /** For ztunnels, by resource name. */
  readonly ztunnel: ReadonlyMap<string, security.Authorization>
  /** Of the same names, matching nothing: the waypoint itself speaks for the client, whom the rule would refuse. */
  readonly waypoint: ReadonlyMap<string, security.Authorization>
  /** By workload uid. */
  readonly ofWorkload: ReadonlyMap<string, readonly string[]>
}

/** `guarded`: keys of the Services that have an L7 policy on their waypoint. */
export function onlyThroughWaypoint(
  services: ReadonlyMap<string, MeshService>,
  workloads: ReadonlyMap<string, MeshWorkload>,
  bindings: Bindings,
  guardedServices: ReadonlySet<string>,
): OnlyWaypoint {
  const ztunnel = new Map<string, security.Authorization>()
  const waypoint = new Map<string, security.Authorization>()
  const ofWorkload = new Map<string, readonly string[]>()
  const named: { readonly service: MeshService; readonly name: string; readonly ports: Set<number> }[] = []
  for (const key of [...guardedServices].sort(compareText)) {
    const service = services.get(key)
    const binding = bindings.services.get(key)
    if (!service || !binding || binding.kind === 'none' || (binding.kind === 'bound' && !binding.pointed)) continue
    const name = `wishbone_only_waypoint_${service.object.metadata.name}`
    named.push({ service, name, ports: new Set() })
  }
  for (const { uid, message } of workloads.values()) {
    const names: string[] = []
    for (const { service, name, ports } of named) {
      const list = message.services[service.name]
      if (!list) continue
      for (const { targetPort } of list.ports) ports.add(targetPort)
      names.push(`${service.namespace}/${name}`)
    }
    if (names.length > 0) ofWorkload.set(uid, names)
  }
  for (const { service, name, ports } of named) {
    const binding = bindings.services.get(service.key)
    const base = { name, namespace: service.namespace, scope: security.Scope.WORKLOAD_SELECTOR }
    const principal = binding?.kind === 'bound' ? binding.waypoint.principal : undefined
    const exact = { matchType: { case: 'exact', value: principal ?? '' } } as const
    const clauses = [
      ...(principal === undefined ? [] : [{ matches: [{ notPrincipals: [exact] }] }]),
      { matches: [{ destinationPorts: [...ports].sort((a, b) => a - b) }] },
    ]
    // Without a known port there is nothing to guard; an empty match would never match anyway.
    const rules = ports.size > 0 ? [{ clauses }] : []
    const key = `${service.namespace}/${name}`
    ztunnel.set(key, create(security.AuthorizationSchema, { ...base, action: security.Action.DENY, rules }))
    waypoint.set(key, create(security.AuthorizationSchema, { ...base, action: security.Action.DENY }))
  }
  return { ztunnel, waypoint, ofWorkload }
}
