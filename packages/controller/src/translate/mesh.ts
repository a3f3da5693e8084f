// Puts the parts together: workloads and Services with their waypoints and policies, and the two
// views of authorizations.
import { create } from '@bufbuild/protobuf'
import { security, workload } from '@wishbone/proto'
import { labels } from './names.ts'
import type { Policies } from './policies/policies.ts'
import type { MeshService } from './services/services.ts'
import type { Binding, Bindings } from './waypoints/binding.ts'
import type { MeshWorkload } from './workloads/workloads.ts'
import { compareText, namespaceLabels, type World } from './world.ts'

/** Where traffic is pointed; undefined: straight to the destination. */
function pointer(binding: Binding | undefined): workload.GatewayAddress | undefined {
  if (!binding || binding.kind === 'none' || (binding.kind === 'bound' && !binding.pointed)) return undefined
  const value =
    binding.kind === 'bound'
      ? { namespace: binding.waypoint.namespace, hostname: binding.waypoint.hostname }
      : { namespace: binding.namespace, hostname: binding.hostname }
  return create(workload.GatewayAddressSchema, { destination: { case: 'hostname', value }, hboneMtlsPort: 15008 })
}

/** `protectedServices`: those whose L7 policy an ingress gateway must not bypass. */
export function finishServices(
  world: World,
  services: ReadonlyMap<string, MeshService>,
  bindings: Bindings,
  protectedServices: ReadonlySet<string>,
): ReadonlyMap<string, workload.Service> {
  const finished = new Map<string, workload.Service>()
  for (const { key, name, namespace, object, message } of services.values()) {
    const copy: workload.Service = { ...message }
    const waypoint = pointer(bindings.services.get(key))
    if (waypoint) copy.waypoint = waypoint
    const label = labels.ingressUseWaypoint
    const asked = object.metadata.labels?.[label] ?? namespaceLabels(world, namespace)[label]
    copy.ingressUseWaypoint = asked === 'true' || protectedServices.has(key)
    finished.set(name, copy)
  }
  return finished
}

export function finishWorkloads(
  workloads: ReadonlyMap<string, MeshWorkload>,
  bindings: Bindings,
  policiesOf: (uid: string) => readonly string[],
): ReadonlyMap<string, workload.Workload> {
  const finished = new Map<string, workload.Workload>()
  for (const { uid, message } of workloads.values()) {
    const copy: workload.Workload = { ...message }
    const waypoint = pointer(bindings.workloads.get(uid))
    if (waypoint) copy.waypoint = waypoint
    copy.authorizationPolicies = [...policiesOf(uid)]
    finished.set(uid, copy)
  }
  return finished
}

/** Every policy that the ztunnel of a workload enforces: its own, its namespace's, the mesh's. */
export function enforcedOn(
  policies: Policies,
  workloads: ReadonlyMap<string, MeshWorkload>,
  own: (uid: string) => readonly string[],
): (uid: string) => readonly string[] {
  const wide = [...policies.messages].filter(([, { scope }]) => scope !== security.Scope.WORKLOAD_SELECTOR)
  return (uid) => {
    const namespace = workloads.get(uid)?.namespace ?? ''
    const names = wide
      .filter(([, message]) => message.scope === security.Scope.GLOBAL || message.namespace === namespace)
      .map(([name]) => name)
    return [...names, ...own(uid)].sort(compareText)
  }
}
