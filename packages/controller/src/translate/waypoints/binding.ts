// Which waypoint a Service or pod is bound to, by labels or because a route names it. A named
// waypoint that can't serve refuses traffic (ADR 4, departure 3) unless its user chose otherwise.
import type { KubeObject } from '../../kinds/index.ts'
import { conditionOf, no, type Verdict, yes } from '../conditions.ts'
import { automaticGatewayName, conditionTypes, labels } from '../names.ts'
import type { MeshService } from '../services/services.ts'
import type { MeshWorkload } from '../workloads/workloads.ts'
import { isEnrolled, namespaceLabels, type World } from '../world.ts'
import type { Waypoint } from './catalog.ts'

export type Binding =
  | { readonly kind: 'none'; readonly verdict?: Verdict }
  | {
      readonly kind: 'bound'
      readonly waypoint: Waypoint
      /** False: it has the configuration, but traffic does not go there yet (or, fail-open, not now). */
      readonly pointed: boolean
      readonly verdict: Verdict
    }
  /** A waypoint was asked for that can't serve; traffic goes to a hostname that resolves to nothing. */
  | {
      readonly kind: 'refused'
      /** `<namespace>/<name>` of the Gateway that was asked for. */
      readonly wanted: string
      readonly namespace: string
      readonly hostname: string
      readonly verdict: Verdict
    }

export interface Bindings {
  /** By the Service's `<namespace>/<name>`. */
  readonly services: ReadonlyMap<string, Binding>
  /** By uid. */
  readonly workloads: ReadonlyMap<string, Binding>
}

const unbound: Binding = { kind: 'none' }

export interface Needs {
  /** Keys of the Services that a route or an L7 policy names. */
  readonly named: ReadonlySet<string>
  /** Whether an L7 policy is for the Service of this key behind the waypoint of that key, be it there or not. */
  readonly isGuarded: (service: string, waypoint: string) => boolean
}

export function bind(
  world: World,
  waypoints: ReadonlyMap<string, Waypoint>,
  services: ReadonlyMap<string, MeshService>,
  workloads: ReadonlyMap<string, MeshWorkload>,
  needs: Needs,
): Bindings {
  const bound = (object: KubeObject, namespace: string, kind: 'services' | 'workloads') => {
    const wanted = wantedWaypoint(world, object, namespace)
    if (wanted === 'none') return { kind: 'none', verdict: no('OptedOut', 'istio.io/use-waypoint is "none"') } as const
    return wanted ? bindTo(waypoints.get(`${wanted.namespace}/${wanted.name}`), wanted, namespace, kind) : undefined
  }
  const ofServices = new Map<string, Binding>()
  for (const service of services.values()) {
    const { key, object, namespace } = service
    // A gateway's or waypoint's own Service never goes through a waypoint.
    if (object.metadata.labels?.[labels.gatewayName] !== undefined) continue
    const binding = bound(object, namespace, 'services') ?? automatic(world, waypoints, service, needs)
    ofServices.set(key, binding)
  }
  const ofWorkloads = new Map<string, Binding>()
  for (const { uid, namespace, pod } of workloads.values()) {
    if (!pod || pod.metadata.labels?.[labels.gatewayName] !== undefined) continue
    ofWorkloads.set(uid, bound(pod, namespace, 'workloads') ?? unbound)
  }
  return { services: ofServices, workloads: ofWorkloads }
}

interface Wanted {
  readonly namespace: string
  readonly name: string
  readonly failOpen: boolean
}

/** The labels of the object, else of its namespace. */
export function wantedWaypoint(world: World, object: KubeObject, namespace: string): Wanted | 'none' | undefined {
  return wantedBy(object.metadata.labels ?? {}, namespace) ?? wantedBy(namespaceLabels(world, namespace), namespace)
}

function wantedBy(found: Readonly<Record<string, string>>, namespace: string): Wanted | 'none' | undefined {
  const name = found[labels.useWaypoint]
  if (!name) return undefined
  if (name === 'none') return 'none'
  return {
    namespace: found[labels.useWaypointNamespace] ?? namespace,
    name,
    failOpen: found[labels.failureMode] === 'open',
  }
}

/** Why the waypoint that these labels of a namespace name is of no use there; undefined if it is, or they name none. */
export function usability(
  waypoints: ReadonlyMap<string, Waypoint>,
  found: Readonly<Record<string, string>>,
  namespace: string,
): Verdict | undefined {
  const wanted = wantedBy(found, namespace)
  if (wanted === undefined || wanted === 'none') return undefined
  const waypoint = waypoints.get(`${wanted.namespace}/${wanted.name}`)
  if (waypoint?.allows(namespace)) return undefined
  return bindTo(waypoint, wanted, namespace, 'services').verdict
}

function bindTo(waypoint: Waypoint | undefined, wanted: Wanted, from: string, kind: 'services' | 'workloads'): Binding {
  const where = `${wanted.namespace}/${wanted.name}`
  const fate = wanted.failOpen
    ? 'traffic passes without it, as wishbone.dev/waypoint-failure-mode: open asks'
    : 'traffic is refused until then'
  const refuse = (verdict: Verdict): Binding =>
    wanted.failOpen
      ? { kind: 'none', verdict }
      : { kind: 'refused', wanted: where, namespace: wanted.namespace, hostname: missingHostname(wanted), verdict }
  if (!waypoint) {
    return refuse(
      no('WaypointMissing', `there is no waypoint ${where}; create the Gateway or remove the label; ${fate}`),
    )
  }
  if (!waypoint.allows(from)) {
    const hint = `its listener's allowedRoutes do not admit namespace ${from}`
    return refuse(no('AttachmentDenied', `waypoint ${where} can not be used: ${hint}; ${fate}`))
  }
  if (!waypoint.handles[kind]) {
    const hint = `label the Gateway istio.io/waypoint-for: ${kind === 'services' ? 'service' : 'workload'} or all`
    return { kind: 'none', verdict: no('UnsupportedTrafficType', `waypoint ${where} does not handle ${kind}; ${hint}`) }
  }
  if (!waypoint.ready) {
    const verdict = no('WaypointIsNotReady', `waypoint ${where} has no ready pod; see its Deployment; ${fate}`)
    return { kind: 'bound', waypoint, pointed: !wanted.failOpen, verdict }
  }
  return { kind: 'bound', waypoint, pointed: true, verdict: yes('WaypointAccepted', `bound to waypoint ${where}`) }
}

function automatic(
  world: World,
  waypoints: ReadonlyMap<string, Waypoint>,
  { key, namespace, object }: MeshService,
  { named, isGuarded }: Needs,
): Binding {
  if (!named.has(key)) return unbound
  if (!isEnrolled(world, namespace)) {
    const hint = `label it istio.io/dataplane-mode=ambient, or the Service istio.io/use-waypoint`
    return { kind: 'none', verdict: no('NamespaceNotEnrolled', `namespace ${namespace} is not in the mesh; ${hint}`) }
  }
  const name = automaticGatewayName
  const where = `${namespace}/${name}`
  const mustStay = isGuarded(key, where) && wasBound(object)
  const waypoint = waypoints.get(where)
  if (!waypoint?.automatic) {
    const taken = world.snapshot.gateways.some(
      ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
    )
    const why = taken ? `a Gateway of that name exists that is not automatic; rename it` : 'it is being created'
    if (!mustStay)
      return { kind: 'none', verdict: no('WaitingForWaypoint', `no automatic waypoint ${where} yet: ${why}`) }
    const message = `the automatic waypoint ${where} is gone: ${why}; traffic is refused until then, since a policy was enforced`
    return {
      kind: 'refused',
      wanted: where,
      namespace,
      hostname: missingHostname({ namespace, name }),
      verdict: no('WaypointMissing', message),
    }
  }
  if (!waypoint.readyOnce && !mustStay) {
    const fate = 'until then traffic stays as it was'
    const verdict = no('WaitingForWaypoint', `the automatic waypoint ${where} has not been ready yet; ${fate}`)
    return { kind: 'bound', waypoint, pointed: false, verdict }
  }
  const verdict = waypoint.ready
    ? yes('WaypointAccepted', `bound to the automatic waypoint ${where}`)
    : no(
        'WaypointIsNotReady',
        `the automatic waypoint ${where} has no ready pod; see its Deployment; traffic is refused until then`,
      )
  return { kind: 'bound', waypoint, pointed: true, verdict }
}

/**
 * Whether traffic of the Service went through a waypoint the last time, or was refused for want of one: its own status is the
 * memory, since an automatic waypoint's goes with its Gateway.
 */
function wasBound(service: MeshService['object']): boolean {
  const said = conditionOf(service, conditionTypes.waypointBound)
  return said?.status === 'True' || said?.reason === 'WaypointMissing' || said?.reason === 'WaypointIsNotReady'
}

/** No Service can have this name, so any ztunnel refuses what goes there. */
function missingHostname(wanted: Pick<Wanted, 'namespace' | 'name'>): string {
  return `${wanted.name}.${wanted.namespace}.missing-waypoint.invalid`
}
