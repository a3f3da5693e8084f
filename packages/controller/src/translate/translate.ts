// The order of the translation. Each step is a function of what came before; nothing looks at a
// clock, a file or the previous result.
import type { l7 } from '@wishbone/proto'
import type { Settings, Snapshot, Translation } from '../model/index.ts'
import { eventsOf } from './events.ts'
import { wantedClasses } from './gateways/classes.ts'
import { everyListener, isServed, type TranslatedGateway, translateGateways } from './gateways/gateways.ts'
import { infraOf } from './infra/infra.ts'
import { enforcedOn, finishServices, finishWorkloads } from './mesh.ts'
import { waypointClass } from './names.ts'
import { translateBackendTlsPolicies } from './policies/backend-tls.ts'
import { enforcementOf } from './policies/enforcement.ts'
import { onlyThroughWaypoint } from './policies/only-waypoint.ts'
import { type TargetedPolicy, translatePolicies, ztunnelView } from './policies/policies.ts'
import { RouteMemory } from './routes/memory.ts'
import { namedServices } from './routes/named.ts'
import { translateRoutes } from './routes/routes.ts'
import { reachOf, scopesOf, waypointsOfWorkloads } from './scopes.ts'
import { meshServices } from './services/services.ts'
import { statusesOf } from './statuses.ts'
import { automaticWaypoints } from './waypoints/automatic.ts'
import { type Bindings, bind } from './waypoints/binding.ts'
import { waypoints as findWaypoints } from './waypoints/catalog.ts'
import { buildListeners } from './waypoints/listeners.ts'
import { meshWorkloads } from './workloads/workloads.ts'
import { compareText, indexSnapshot, type World } from './world.ts'

/**
 * What proxies and the Kubernetes API get, from the cluster's objects. Pure, and independent of the
 * order of the input; an object that can't be translated gets a status and harms no other. The result is the same with a
 * memory of earlier calls as without; routes that it holds keep their very messages.
 */
export function translate(snapshot: Snapshot, settings: Settings, memory = new RouteMemory()): Translation {
  const world = indexSnapshot(snapshot, settings)
  const services = meshServices(world)
  const workloads = meshWorkloads(world, services)
  const gateways = translateGateways(world)
  const waypoints = findWaypoints(world, servedKeys(gateways))
  const named = namedServices(world, services)
  const policies = translatePolicies(world, workloads)
  const isGuarded = (service: string, waypoint: string) =>
    isTargeted(policies.targeted, service, waypoint, (name) => name === waypointClass)
  const bindings = bind(world, waypoints, services, workloads, { named, isGuarded })
  const automatic = automaticWaypoints(world, services, named, bindings)
  const backendTls = translateBackendTlsPolicies(world)
  const routes = translateRoutes(world, { gateways, services }, backendTls, memory.under(snapshot, settings))
  const listeners = buildListeners({ services, workloads, gateways, bindings, routes, policies: policies.targeted })

  const reach = reachOf({ gateways, services, workloads, bindings, routes, listeners })
  const principals = waypointsOfWorkloads(reach, (key) => waypoints.get(key)?.principal)
  const protectedServices = withPolicies(policies.targeted, bindings, world)
  const only = onlyThroughWaypoint(services, workloads, bindings, protectedServices)
  const own = (uid: string) =>
    [...(policies.ofWorkload.get(uid) ?? []), ...(only.ofWorkload.get(uid) ?? [])].sort(compareText)
  const waypointAuthorizations = new Map([...policies.messages, ...only.waypoint])

  const mesh = {
    workloads: finishWorkloads(workloads, bindings, own),
    services: finishServices(world, services, bindings, protectedServices),
    authorizations: new Map([...ztunnelView(policies, workloads, principals), ...only.ztunnel]),
    waypointAuthorizations,
    requestPolicies: policies.requests,
    listeners: listeners.messages,
    routes: byName(routes.flatMap((route) => route.routes)),
    tcpRoutes: byName(routes.flatMap((route) => route.tcpRoutes)),
    udpRoutes: byName(routes.flatMap((route) => route.udpRoutes)),
    certificates: byName<l7.Certificate>(
      [...gateways.values()].flatMap((gateway) => [
        ...everyListener(gateway).flatMap(({ tls }) => tls?.certificates ?? []),
        ...(gateway.backendCertificate ? [gateway.backendCertificate] : []),
      ]),
    ),
    scopes: scopesOf(reach, listeners, waypointAuthorizations, enforcedOn(policies, workloads, own)),
  }
  const enforcement = enforcementOf({ policies, bindings, gateways, waypoints })
  const ending = new Set(
    automatic.desired.flatMap((desired) =>
      desired.kind === 'delete' ? [`${desired.ref.namespace}/${desired.ref.name}`] : [],
    ),
  )
  return {
    mesh,
    infra: [...wantedClasses(world), ...infraOf(world, gateways, ending), ...automatic.desired],
    statuses: statusesOf(world, { gateways, routes, services, bindings, enforcement, backendTls }),
    events: eventsOf(world, { waypoints, workloads, bindings, enforcement }),
    ...(automatic.recheckAtUnixMs === undefined ? {} : { recheckAtUnixMs: automatic.recheckAtUnixMs }),
  }
}

function servedKeys(gateways: ReadonlyMap<string, TranslatedGateway>): ReadonlySet<string> {
  return new Set([...gateways.values()].filter(isServed).map(({ key }) => key))
}

/** Keys of the Services that have a policy on their waypoint, by targetRef to them or to it; also while that is not there. */
function withPolicies(targeted: readonly TargetedPolicy[], bindings: Bindings, world: World): ReadonlySet<string> {
  const found = new Set<string>()
  for (const [key, binding] of bindings.services) {
    if (binding.kind === 'none') continue
    const waypoint = binding.kind === 'bound' ? binding.waypoint.key : binding.wanted
    const className = binding.kind === 'bound' ? binding.waypoint.gateway.spec.gatewayClassName : undefined
    // Of which class a waypoint is going to be that is not there, nobody knows.
    const isOfClass = (name: string) =>
      className === undefined ? world.classes.get(name) === 'waypoint' : name === className
    if (isTargeted(targeted, key, waypoint, isOfClass)) found.add(key)
  }
  return found
}

/** Whether a policy is for the Service, for its waypoint, or for the waypoint's class. */
function isTargeted(
  targeted: readonly TargetedPolicy[],
  service: string,
  waypoint: string,
  isOfClass: (name: string) => boolean,
): boolean {
  return targeted.some(({ targets }) =>
    targets.some(
      (target) =>
        (target.kind === 'service' && target.key === service) ||
        (target.kind === 'gateway' && target.key === waypoint) ||
        (target.kind === 'class' && isOfClass(target.name)),
    ),
  )
}

function byName<T extends { readonly name: string }>(messages: readonly T[]): ReadonlyMap<string, T> {
  return new Map(messages.map((message) => [message.name, message]))
}
