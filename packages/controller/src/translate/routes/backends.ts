// backendRefs: resolved to a Service's port, or kept as an invalid backend that answers 500 with
// its share of the requests (Gateway API, HTTPBackendRef).
import { create } from '@bufbuild/protobuf'
import { parseIp } from '@wishbone/core/ip'
import { l7 } from '@wishbone/proto'
import type { EndpointSlice, ServicePort } from '../../kinds/index.ts'
import { mayRefer } from '../grants.ts'
import { gatewayGroup } from '../names.ts'
import type { BackendTlsPolicies } from '../policies/backend-tls.ts'
import { appProtocolOf, backendProtocol } from '../services/protocol.ts'
import type { MeshService } from '../services/services.ts'
import { createSound } from '../sound.ts'
import { guarded, type World } from '../world.ts'

export interface BackendReference {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
  readonly port?: number
}

/** A reference that could not be resolved, for the route's status. */
export interface RefProblem {
  readonly reason: string
  readonly message: string
}

export interface BackendContext {
  readonly world: World
  readonly services: ReadonlyMap<string, MeshService>
  readonly backendTls: Pick<BackendTlsPolicies, 'tlsFor'>
  readonly routeKind: string
  readonly routeNamespace: string
  /** Services to which a consumer route may send without a grant (GEP-1426). */
  readonly ownParents: ReadonlySet<string>
  /** Filled while resolving. */
  readonly problems: RefProblem[]
  /** Resource names of every Service that the route can send to; filled while resolving. */
  readonly used: Set<string>
}

export function resolveBackend(context: BackendContext, ref: BackendReference): l7.Backend {
  const found = resolve(context, ref)
  if (found.kind === 'problem') {
    const { reason, message } = found
    context.problems.push({ reason, message })
    return create(l7.BackendSchema, { target: { case: 'invalid', value: { reason, message } } })
  }
  context.used.add(found.service.name)
  const { namespace, hostname } = found.service
  const { tls } = found
  const target = { namespace, hostname, port: found.port, protocol: found.protocol, ...(tls ? { tls } : {}) }
  return create(l7.BackendSchema, { target: { case: 'service', value: target } })
}

/** A UDP backend carries its endpoints itself: the mesh knows nothing of UDP. */
export function resolveUdpBackend(context: BackendContext, ref: BackendReference & { readonly weight?: number }) {
  const weight = ref.weight ?? 1
  const found = findService(context, ref, 'UDP')
  if (found.kind === 'problem') {
    const { reason, message } = found
    context.problems.push({ reason, message })
    return createSound(l7.UdpBackendSchema, { weight, invalid: { reason, message } })
  }
  const endpoints = [...udpEndpoints(context.world, found.service.key, found.port)]
  return createSound(l7.UdpBackendSchema, { weight, endpoints })
}

/** A slice that can't be read costs its own endpoints only. */
function udpEndpoints(world: World, key: string, port: ServicePort): readonly l7.UdpEndpoint[] {
  const slices = world.slicesOf.get(key) ?? []
  return slices.flatMap((slice) => guarded(world, slice, () => endpointsIn(slice, port)) ?? [])
}

function endpointsIn(slice: EndpointSlice, port: ServicePort): readonly l7.UdpEndpoint[] {
  const target = slice.ports?.find((one) => (one.name ?? '') === (port.name ?? '') && one.protocol === 'UDP')?.port
  if (target === undefined) return []
  return (slice.endpoints ?? []).flatMap(({ addresses, conditions }) => {
    const address = conditions?.ready === false ? undefined : parseIp(addresses[0] ?? '')
    return address ? [createSound(l7.UdpEndpointSchema, { address, port: target })] : []
  })
}

type Resolved =
  | ({ readonly kind: 'problem' } & RefProblem)
  | {
      readonly kind: 'service'
      readonly service: MeshService
      readonly port: number
      readonly protocol: l7.Protocol
      readonly tls: l7.BackendTls | undefined
    }

type Found =
  | ({ readonly kind: 'problem' } & RefProblem)
  | { readonly kind: 'service'; readonly service: MeshService; readonly port: ServicePort }

function resolve(context: BackendContext, ref: BackendReference): Resolved {
  const found = findService(context, ref, 'TCP')
  if (found.kind === 'problem') return found
  const { service, port } = found
  const tls = context.backendTls.tlsFor(service.key, port)
  return { kind: 'service', service, port: port.port, protocol: backendProtocol(appProtocolOf(port)), tls }
}

function findService(context: BackendContext, ref: BackendReference, transport: 'TCP' | 'UDP'): Found {
  const { world, services, routeKind, routeNamespace, ownParents } = context
  const namespace = ref.namespace ?? routeNamespace
  const key = `${namespace}/${ref.name}`
  if ((ref.group ?? '') !== '' || (ref.kind ?? 'Service') !== 'Service') {
    const what = `${ref.kind}${ref.group ? `.${ref.group}` : ''}`
    return { kind: 'problem', reason: 'InvalidKind', message: `${what} ${key} can not be a backend; use a Service` }
  }
  const from = { group: gatewayGroup, kind: routeKind, namespace: routeNamespace }
  const to = { group: '', kind: 'Service', namespace, name: ref.name }
  if (!ownParents.has(key) && !mayRefer(world, from, to)) {
    const hint = `create a ReferenceGrant in ${namespace} from ${routeKind}s of ${routeNamespace} to Services`
    return { kind: 'problem', reason: 'RefNotPermitted', message: `Service ${key} is in another namespace; ${hint}` }
  }
  const service = services.get(key)
  if (!service) {
    const why = world.services.has(key) ? 'is of type ExternalName, which can not be a backend' : 'does not exist'
    return { kind: 'problem', reason: 'BackendNotFound', message: `Service ${key} ${why}` }
  }
  const ports = (service.object.spec.ports ?? []).filter((port) => (port.protocol ?? 'TCP') === transport)
  const port = ports.find((p) => p.port === ref.port)
  if (!port) {
    const has = ports.map((p) => p.port).join(', ') || `no ${transport} port`
    const what = ref.port === undefined ? 'needs a port here' : `has no ${transport} port ${ref.port}`
    return { kind: 'problem', reason: 'BackendNotFound', message: `Service ${key} ${what}; it has ${has}` }
  }
  return { kind: 'service', service, port }
}
