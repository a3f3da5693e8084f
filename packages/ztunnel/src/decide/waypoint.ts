// Finding the waypoint of a service or workload: one of its endpoints and the identity it must prove (ambient wire §4.2).
import { addressOf, ipKeyFamily, targetPortOf } from '@wishbone/core/balancing'
import { equalIdentity, formatSpiffe } from '@wishbone/core/identity'
import { formatSocketAddress, ipKey } from '@wishbone/core/ip'
import { type GatewayAddress, identityOf, type Service, type Workload } from '@wishbone/core/mesh'
import { ports } from '@wishbone/core/names'
import type { Pick } from '../state/pick.ts'
import type { MeshView } from '../state/view.ts'
import type { OutboundDecision, OutboundFacts, Reject } from './types.ts'

interface Target {
  readonly gateway: GatewayAddress | undefined
  readonly service?: Service
  /** The workload that the waypoint stands in front of, when it was addressed directly. */
  readonly workload?: Workload
}

/** HBONE to the waypoint with the original destination as authority; refused when the waypoint is not there. */
export function decideWaypoint(state: MeshView, facts: OutboundFacts, target: Target, pick: Pick): OutboundDecision {
  const { gateway, service } = target
  const owner =
    service === undefined ? `workload ${target.workload?.uid}` : `service ${service.namespace}/${service.hostname}`
  const found = gateway === undefined ? undefined : state.resolveGateway(gateway, facts.source.namespace)
  if (gateway === undefined || found === undefined) return missing(owner, gateway, 'is not known')
  const port = gateway.hboneMtlsPort || ports.hbone
  const family = ipKeyFamily(facts.destination.ip)
  let workload: Workload | undefined
  let hopPort: number | undefined = port
  if (found.kind === 'workload') workload = found.workload
  else {
    const { source } = facts
    const endpoint = pick.endpoint(found.service, state.endpointsOf(found.service), {
      clientLocality: source.locality,
      node: source.node,
      cluster: source.clusterId,
      network: source.network,
      port,
    })
    if (endpoint === undefined) return missing(owner, gateway, 'has no ready endpoint')
    workload = endpoint.workload
    hopPort = targetPortOf(found.service, endpoint, port)
  }
  const fits = found.kind === 'service' ? found.service : undefined
  const ip = addressOf(workload, fits, family)
  if (hopPort === undefined || ip === undefined) return missing(owner, gateway, 'has no usable address')
  if (workload.network !== facts.network)
    return missing(owner, gateway, `is on another network ("${workload.network}")`)
  return {
    kind: 'hbone',
    through: 'waypoint',
    hop: { ip: ipKey(ip), port: hopPort },
    authority: formatSocketAddress(facts.destination.ip, facts.destination.port),
    identities: [formatSpiffe(identityOf(workload)), ...(fits?.subjectAltNames ?? [])],
    workload,
    ...(service === undefined ? {} : { service }),
  }
}

/** Whether `caller` is the waypoint of `workload`, by identity and by address: what it forwards must not come back to it. */
export function isWaypointOf(state: MeshView, caller: Workload, workload: Workload, network: string): boolean {
  const found = workload.waypoint === undefined ? undefined : state.resolveGateway(workload.waypoint)
  if (found === undefined) return false
  const waypoints =
    found.kind === 'workload' ? [found.workload] : state.endpointsOf(found.service).map((one) => one.workload)
  return waypoints.some(
    (one) => one.uid === caller.uid && one.network === network && equalIdentity(identityOf(one), identityOf(caller)),
  )
}

function missing(owner: string, gateway: GatewayAddress | undefined, why: string): Reject {
  return {
    kind: 'reject',
    code: 'waypoint-unavailable',
    message: `the waypoint ${nameOf(gateway)} of ${owner} ${why}`,
    hint: 'see the status of the Gateway object that istio.io/use-waypoint names',
  }
}

function nameOf(gateway: GatewayAddress | undefined): string {
  const destination = gateway?.destination
  if (destination?.case === 'hostname') return `${destination.value.namespace}/${destination.value.hostname}`
  if (destination?.case === 'address')
    return destination.value.address.length === 0 ? '(no address)' : ipKey(destination.value.address)
  return '(unnamed)'
}
