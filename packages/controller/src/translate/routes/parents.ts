// The parents of a route: which of them are ours, and whether each takes the route
// (for Services GEP-1426).

import { create } from '@bufbuild/protobuf'
import { l7, workload } from '@wishbone/proto'
import type { HTTPRoute, KubeObject, ServicePort } from '../../kinds/index.ts'
import type { ParentReference } from '../../model/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import type { TranslatedGateway } from '../gateways/gateways.ts'
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
  readonly target:
    | { readonly kind: 'gateway'; readonly key: string; readonly sections: readonly string[] }
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
      return gateway ? [attachToGateway(world, gateway, route, ref)] : []
    }
    if (group === '' && kind === 'Service') return [attachToService(parents.services.get(key), route, ref, key)]
    return []
  })
}

function attachToGateway(
  world: World,
  gateway: TranslatedGateway,
  route: AnyRoute,
  ref: ParentReference,
): AttachedParent {
  const controllerName = gateway.kind === 'gateway' ? gatewayController : meshController
  const parent = (
    accepted: Verdict,
    found: readonly { name: string; section: string; hosts: l7.RouteHostname[] }[] = [],
  ) => ({
    ref,
    controllerName,
    accepted,
    listeners: found.map(({ name, hosts }) => create(l7.RouteParentSchema, { listener: name, hostnames: hosts })),
    target: { kind: 'gateway' as const, key: gateway.key, sections: found.map(({ section }) => section) },
  })
  const named = gateway.listeners.filter(
    ({ spec }) => (!ref.sectionName || spec.name === ref.sectionName) && (!ref.port || spec.port === ref.port),
  )
  if (named.length === 0) {
    const what = [ref.sectionName && `name ${ref.sectionName}`, ref.port && `port ${ref.port}`].filter(Boolean)
    const has = gateway.listeners.map(({ spec }) => `${spec.name} (${spec.port})`).join(', ')
    return parent(
      no('NoMatchingParent', `Gateway ${gateway.key} has no listener of ${what.join(' and ')}; it has ${has}`),
    )
  }
  const from = route.metadata.namespace ?? ''
  const allowed = named.filter(
    ({ spec, supportedKinds }) =>
      supportedKinds.some(({ group, kind }) => group === gatewayGroup && kind === route.kind) &&
      allowsNamespace(
        spec.allowedRoutes?.namespaces,
        gateway.object.metadata.namespace ?? '',
        from,
        namespaceLabels(world, from),
      ),
  )
  if (allowed.length === 0) {
    const hint =
      gateway.kind === 'waypoint'
        ? 'a waypoint takes no routes; name the Service as the parent instead'
        : `see allowedRoutes and protocol of its listeners`
    const message = `no listener of Gateway ${gateway.key} takes ${route.kind}s of namespace ${from}: ${hint}`
    return parent(no('NotAllowedByListeners', message))
  }
  const matching = allowed.flatMap(({ name, spec }) => {
    const hosts = intersectHostnames(spec.hostname ?? '', route.spec.hostnames ?? [])
    const messages = hosts.map((host) => create(l7.RouteHostnameSchema, host))
    return hosts.length > 0 ? [{ name, section: spec.name, hosts: messages }] : []
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
