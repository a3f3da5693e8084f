// What each waypoint and gateway may see: its own listeners, the routes on them, and of the mesh
// only what those can lead to.
import type { security } from '@wishbone/proto'
import type { Scope } from '../model/index.ts'
import { everyListener, isServed, type TranslatedGateway } from './gateways/gateways.ts'
import { infraName } from './infra/names.ts'
import type { TranslatedRoute } from './routes/routes.ts'
import type { MeshService } from './services/services.ts'
import type { Bindings } from './waypoints/binding.ts'
import type { Listeners } from './waypoints/listeners.ts'
import type { MeshWorkload } from './workloads/workloads.ts'

export interface ScopeInput {
  readonly gateways: ReadonlyMap<string, TranslatedGateway>
  readonly services: ReadonlyMap<string, MeshService>
  readonly workloads: ReadonlyMap<string, MeshWorkload>
  readonly bindings: Bindings
  readonly routes: readonly TranslatedRoute[]
  readonly listeners: Listeners
}

/** What a gateway can reach, before policies are known. */
export interface Reach {
  readonly gateway: TranslatedGateway
  readonly listeners: ReadonlySet<string>
  readonly routes: ReadonlySet<string>
  readonly tcpRoutes: ReadonlySet<string>
  readonly udpRoutes: ReadonlySet<string>
  readonly certificates: ReadonlySet<string>
  /** Resource names of Services that traffic may go to. */
  readonly services: ReadonlySet<string>
  /** Uids of workloads that traffic may go to. */
  readonly workloads: ReadonlySet<string>
  /** Waypoints on the way to those, and its own Service: known, but no destinations of its routes. */
  readonly way: { readonly services: ReadonlySet<string>; readonly workloads: ReadonlySet<string> }
}

/** By `<namespace>/<gateway>`. */
export function reachOf(input: ScopeInput): ReadonlyMap<string, Reach> {
  const members = membersByService(input.workloads)
  const byName = new Map([...input.services.values()].map((service) => [service.name, service]))
  const reach = new Map<string, Reach>()
  for (const gateway of input.gateways.values()) {
    const listeners = new Set(input.listeners.ofGateway.get(gateway.key) ?? [])
    const own = input.routes.filter(({ routes, tcpRoutes, udpRoutes }) =>
      [...routes, ...tcpRoutes, ...udpRoutes].some((message) =>
        message.parents.some((parent) => listeners.has(parent.listener)),
      ),
    )
    const attached = (message: { readonly parents: readonly { readonly listener: string }[] }) =>
      message.parents.some((parent) => listeners.has(parent.listener))
    const services = new Set(own.flatMap(({ used }) => [...used]))
    const workloads = new Set<string>()
    if (gateway.kind === 'waypoint') addBound(input, gateway.key, services, workloads)
    for (const name of services) for (const uid of members.get(name) ?? []) workloads.add(uid)
    reach.set(gateway.key, {
      gateway,
      listeners,
      routes: new Set(own.flatMap(({ routes }) => routes.filter(attached).map(({ name }) => name))),
      udpRoutes: new Set(own.flatMap(({ udpRoutes }) => udpRoutes.filter(attached).map(({ name }) => name))),
      tcpRoutes: new Set(own.flatMap(({ tcpRoutes }) => tcpRoutes.filter(attached).map(({ name }) => name))),
      certificates: new Set([
        ...everyListener(gateway)
          .flatMap((listener) => (listeners.has(listener.name) ? (listener.tls?.certificates ?? []) : []))
          .map((c) => c.name),
        ...(gateway.backendCertificate && listeners.size > 0 ? [gateway.backendCertificate.name] : []),
      ]),
      services,
      workloads,
      way: wayOf(input, gateway, services, byName, members),
    })
  }
  return reach
}

function addBound(input: ScopeInput, key: string, services: Set<string>, workloads: Set<string>): void {
  for (const [service, binding] of input.bindings.services) {
    if (binding.kind === 'bound' && binding.waypoint.key === key) services.add(input.services.get(service)!.name)
  }
  for (const [uid, binding] of input.bindings.workloads) {
    if (binding.kind === 'bound' && binding.waypoint.key === key) workloads.add(uid)
  }
}

function wayOf(
  input: ScopeInput,
  gateway: TranslatedGateway,
  services: ReadonlySet<string>,
  byName: ReadonlyMap<string, MeshService>,
  members: ReadonlyMap<string, readonly string[]>,
): Reach['way'] {
  const keys = new Set([gateway.key])
  if (gateway.kind === 'gateway') {
    for (const name of services) {
      const binding = input.bindings.services.get(byName.get(name)?.key ?? '')
      if (binding?.kind === 'bound') keys.add(binding.waypoint.key)
    }
  }
  const names = [...keys].flatMap((key) => {
    const found = input.gateways.get(key)
    const namespace = found?.object.metadata.namespace ?? ''
    const service = found && input.services.get(`${namespace}/${infraName(found.object, found.kind)}`)
    return service ? [service.name] : []
  })
  return { services: new Set(names), workloads: new Set(names.flatMap((name) => members.get(name) ?? [])) }
}

/** Principals of the waypoints that may carry traffic to a workload, by uid. */
export function waypointsOfWorkloads(
  reach: ReadonlyMap<string, Reach>,
  principalOf: (key: string) => string | undefined,
): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const [key, { gateway, workloads }] of reach) {
    const principal = gateway.kind === 'waypoint' ? principalOf(key) : undefined
    if (principal === undefined) continue
    for (const uid of workloads) found.set(uid, (found.get(uid) ?? new Set()).add(principal))
  }
  return found
}

/** The scopes, with the policies that each must enforce. `policiesOf` gives a workload's, whatever their scope. */
export function scopesOf(
  reach: ReadonlyMap<string, Reach>,
  listeners: Listeners,
  authorizations: ReadonlyMap<string, security.Authorization>,
  policiesOf: (uid: string) => readonly string[],
): ReadonlyMap<string, Scope> {
  const scopes = new Map<string, Scope>()
  for (const [key, found] of reach) {
    if (!isServed(found.gateway)) continue
    const wanted = new Set([...found.listeners].flatMap((name) => listeners.messages.get(name)?.policies ?? []))
    // A gateway is a client of the mesh: ztunnels judge it by its own identity.
    if (found.gateway.kind === 'waypoint')
      for (const uid of found.workloads) for (const name of policiesOf(uid)) wanted.add(name)
    const { object, kind } = found.gateway
    scopes.set(key, {
      namespace: object.metadata.namespace ?? '',
      gateway: object.metadata.name,
      serviceAccount: infraName(object, kind),
      workloads: new Set([...found.workloads, ...found.way.workloads]),
      services: new Set([...found.services, ...found.way.services]),
      authorizations: new Set([...wanted].filter((name) => authorizations.has(name))),
      listeners: found.listeners,
      routes: found.routes,
      tcpRoutes: found.tcpRoutes,
      udpRoutes: found.udpRoutes,
      certificates: found.certificates,
    })
  }
  return scopes
}

function membersByService(workloads: ReadonlyMap<string, MeshWorkload>): ReadonlyMap<string, readonly string[]> {
  const members = new Map<string, string[]>()
  for (const { uid, message } of workloads.values()) {
    for (const name of Object.keys(message.services)) members.set(name, [...(members.get(name) ?? []), uid])
  }
  return members
}
