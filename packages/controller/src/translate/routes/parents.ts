// The parents of a route: which of them are ours, and whether each takes the route
// (for Services GEP-1426).

import { create } from '@bufbuild/protobuf'
import { l7, workload } from '@wishbone/proto'
import type { HTTPRoute, KubeObject, ServicePort } from '../../kinds/index.ts'
import type { ParentReference } from '../../model/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import type { TranslatedGateway } from '../gateways/gateways.ts'
import type { TranslatedListener } from '../gateways/listeners.ts'
import { gatewayController, gatewayGroup, meshController } from '../names.ts'
import { allowsNamespace } from '../selector.ts'
import { appProtocolOf } from '../services/protocol.ts'
import { type MeshService, tcpPorts } from '../services/services.ts'
import { namespaceLabels, type World } from '../world.ts'
import { intersectHostnames } from './hostnames.ts'

export type AnyRoute = KubeObject & { readonly spec: Pick<HTTPRoute['spec'], 'hostnames' | 'parentRefs'> }

export interface Parents {
  readonly gateways: ReadonlyMap<string, TranslatedGateway>
  readonly services: ReadonlyMap<string, MeshService>
}

/** One entry of spec.parentRefs that is ours. */
export interface AttachedParent {
  readonly ref: ParentReference
  readonly controllerName: string
  readonly accepted: Verdict
  /** The listeners that take the route; empty unless accepted. */
  readonly listeners: readonly l7.RouteParent[]
  readonly target: /** `listeners`: resource names of those that take the route. */
    | { readonly kind: 'gateway'; readonly key: string; readonly listeners: readonly string[] }
    /** `consumer`: the route only concerns clients of its own namespace. */
    | { readonly kind: 'service'; readonly key: string; readonly consumer: boolean; readonly ports: readonly number[] }
}

/** Parents of other implementations and Gateways that don't exist are left out: nobody's status is ours to write. */
export function attachParents(world: World, parents: Parents, route: AnyRoute): readonly AttachedParent[] {
  return (route.spec.parentRefs ?? []).flatMap((ref): AttachedParent[] => {
    const kind = ref.kind ?? 'Gateway'
    const group = ref.group ?? gatewayGroup
    const key = `${ref.namespace ?? route.metadata.namespace ?? ''}/${ref.name}`
    if (group === gatewayGroup && kind === 'Gateway') {
      const gateway = parents.gateways.get(key)
      if (!gateway) return []
      return [attachToListeners(world, gateway, { what: `Gateway ${key}`, listeners: gateway.listeners }, route, ref)]
    }
    if (group === gatewayGroup && kind === 'ListenerSet') return attachToSet(world, parents, route, ref, key)
    if (group === '' && kind === 'Service') return [attachToService(parents.services.get(key), route, ref, key)]
    return []
  })
}

/** Only the set's own listeners; a reference to the Gateway attaches to none of them. */
function attachToSet(
  world: World,
  { gateways }: Parents,
  route: AnyRoute,
  ref: ParentReference,
  key: string,
): AttachedParent[] {
  for (const gateway of gateways.values()) {
    const set = gateway.listenerSets.find((one) => one.key === key)
    if (!set) continue
    const attached = attachToListeners(
      world,
      gateway,
      { what: `ListenerSet ${key}`, listeners: set.listeners },
      route,
      ref,
    )
    if (set.accepted.reason !== 'NotAllowed') return [attached]
    return [{ ...attached, accepted: no('NoMatchingParent', `ListenerSet ${key}: ${set.accepted.message}`) }]
  }
  return []
}

function attachToListeners(
  world: World,
  gateway: TranslatedGateway,
  parentOf: { readonly what: string; readonly listeners: readonly TranslatedListener[] },
  route: AnyRoute,
  ref: ParentReference,
): AttachedParent {
  const controllerName = gateway.kind === 'gateway' ? gatewayController : meshController
  const parent = (accepted: Verdict, found: readonly { name: string; hosts: l7.RouteHostname[] }[] = []) => ({
    ref,
    controllerName,
    accepted,
    listeners: found.map(({ name, hosts }) => create(l7.RouteParentSchema, { listener: name, hostnames: hosts })),
    target: { kind: 'gateway' as const, key: gateway.key, listeners: found.map(({ name }) => name) },
  })
  const named = parentOf.listeners.filter(
    ({ spec }) => (!ref.sectionName || spec.name === ref.sectionName) && (!ref.port || spec.port === ref.port),
  )
  if (named.length === 0) {
    const what = [ref.sectionName && `name ${ref.sectionName}`, ref.port && `port ${ref.port}`].filter(Boolean)
    const has = parentOf.listeners.map(({ spec }) => `${spec.name} (${spec.port})`).join(', ')
    return parent(no('NoMatchingParent', `${parentOf.what} has no listener of ${what.join(' and ')}; it has ${has}`))
  }
  const from = route.metadata.namespace ?? ''
  const allowed = named.filter(
    ({ spec, owner, supportedKinds }) =>
      supportedKinds.some(({ group, kind }) => group === gatewayGroup && kind === route.kind) &&
      allowsNamespace(
        spec.allowedRoutes?.namespaces,
        owner.metadata.namespace ?? '',
        from,
        namespaceLabels(world, from),
      ),
  )
  if (allowed.length === 0) {
    const hint =
      gateway.kind === 'waypoint'
        ? 'a waypoint takes no routes; name the Service as the parent instead'
        : `see allowedRoutes and protocol of its listeners`
    const message = `no listener of ${parentOf.what} takes ${route.kind}s of namespace ${from}: ${hint}`
    return parent(no('NotAllowedByListeners', message))
  }
  const matching = allowed.flatMap(({ name, spec }) => {
    const hosts = intersectHostnames(spec.hostname ?? '', route.spec.hostnames ?? [])
    const messages = hosts.map((host) => create(l7.RouteHostnameSchema, host))
    return hosts.length > 0 ? [{ name, hosts: messages }] : []
  })
  if (matching.length === 0) {
    const has = allowed.map(({ spec }) => spec.hostname ?? '*').join(', ')
    return parent(no('NoMatchingListenerHostname', `no hostname of the route is one of its listeners' (${has})`))
  }
  return parent(yes('Accepted'), matching)
}

function attachToService(
  service: MeshService | undefined,
  route: AnyRoute,
  ref: ParentReference,
  key: string,
): AttachedParent {
  const consumer = service !== undefined && service.namespace !== route.metadata.namespace
  const parent = (accepted: Verdict, ports: readonly number[] = []): AttachedParent => ({
    ref,
    controllerName: meshController,
    accepted,
    listeners: ports.map((port) =>
      create(l7.RouteParentSchema, {
        listener: serviceListenerName(service!, port),
        hostnames: hostnamesOnService(route).map((host) => ({ effective: host, original: host })),
      }),
    ),
    target: { kind: 'service', key, consumer, ports },
  })
  if (!service) {
    return parent(
      no('NoMatchingParent', `there is no Service ${key} that the mesh carries; create it or correct the name`),
    )
  }
  if (route.kind === 'UDPRoute') {
    const hint = 'ztunnel carries TCP only; name a Gateway with a UDP listener as the parent'
    return parent(no('UnsupportedValue', `a UDPRoute has no effect on Service ${key}: ${hint}`))
  }
  const all = tcpPorts(service.object)
  const named = all.filter(
    (port) =>
      (!ref.port || port.port === ref.port) &&
      (!ref.sectionName || port.name === ref.sectionName) &&
      (ref.port !== undefined || ref.sectionName !== undefined || takes(route, port)),
  )
  if (named.length === 0) {
    const has = all.map(({ name, port }) => (name ? `${port} (${name})` : String(port))).join(', ') || 'none'
    const what = [ref.port, ref.sectionName].filter(Boolean).join(' ') || `for ${route.kind}s`
    return parent(no('NoMatchingParent', `Service ${key} has no TCP port ${what}; it has ${has}`))
  }
  return parent(
    yes('Accepted'),
    named.map(({ port }) => port),
  )
}

/** A reference to the whole Service means the ports that can speak the route's protocol. */
function takes(route: AnyRoute, port: ServicePort): boolean {
  const app = appProtocolOf(port)
  const isBytes = app === workload.AppProtocol.TCP || app === workload.AppProtocol.TLS
  return route.kind === 'TCPRoute' || route.kind === 'TLSRoute' || !isBytes
}

/** A Service is found by its address, so hostnames say nothing; only a TLSRoute's are compared, with the SNI. */
function hostnamesOnService(route: AnyRoute): readonly string[] {
  const written = route.kind === 'TLSRoute' ? (route.spec.hostnames ?? []) : []
  return written.length > 0 ? written.map((host) => host.toLowerCase()) : ['']
}

export function serviceListenerName(service: MeshService, port: number): string {
  return `service/${service.name}/${port}`
}
