// backendRefs: resolved to a Service's port, or kept as an invalid backend that answers 500 with
// its share of the requests (Gateway API, HTTPBackendRef).
import { create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import { mayRefer } from '../grants.ts'
import { gatewayGroup } from '../names.ts'
import { appProtocolOf, backendProtocol } from '../services/protocol.ts'
import { type MeshService, tcpPorts } from '../services/services.ts'
import type { World } from '../world.ts'

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
  readonly routeKind: string
  readonly routeNamespace: string
  /** Service parents of the route: a consumer route may send to them without a grant (GEP-1426). */
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
  const target = { namespace, hostname, port: found.port, protocol: found.protocol }
  return create(l7.BackendSchema, { target: { case: 'service', value: target } })
}

type Resolved =
  | ({ readonly kind: 'problem' } & RefProblem)
  | { readonly kind: 'service'; readonly service: MeshService; readonly port: number; readonly protocol: l7.Protocol }

function resolve(context: BackendContext, ref: BackendReference): Resolved {
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
  const ports = tcpPorts(service.object)
  const port = ports.find((p) => p.port === ref.port)
  if (!port) {
    const has = ports.map((p) => p.port).join(', ') || 'no TCP port'
    const what = ref.port === undefined ? 'needs a port here' : `has no TCP port ${ref.port}`
    return { kind: 'problem', reason: 'BackendNotFound', message: `Service ${key} ${what}; it has ${has}` }
  }
  return { kind: 'service', service, port: port.port, protocol: backendProtocol(appProtocolOf(port)) }
}
