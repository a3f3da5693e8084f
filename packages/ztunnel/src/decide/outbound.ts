// Where an outbound connection goes (ambient wire §4.2). A named waypoint that is not there refuses.
import { addressOf, ipKeyFamily, targetPortOf } from '@wishbone/core/balancing'
import { illegalPorts } from '@wishbone/core/hbone'
import { formatSpiffe } from '@wishbone/core/identity'
import { formatSocketAddress, ipKey, isLoopback, parseIp, type SocketAddress } from '@wishbone/core/ip'
import { type Endpoint, identityOf, type Service, type Workload } from '@wishbone/core/mesh'
import { ports } from '@wishbone/core/names'
import { workload as proto } from '@wishbone/proto'
import type { Pick } from '../state/pick.ts'
import type { MeshView } from '../state/view.ts'
import type { OutboundDecision, OutboundFacts, Reject } from './types.ts'
import { decideWaypoint, isWaypointOf } from './waypoint.ts'

/** Decides one connection from one state. `pick` makes the random choices. */
export function decideOutbound(state: MeshView, facts: OutboundFacts, pick: Pick): OutboundDecision {
  const { destination, source, network } = facts
  const ip = parseIp(destination.ip)
  if (ip !== undefined && isLoopback(ip) && illegalPorts.has(destination.port))
    return reject('unknown-destination', `${text(destination)} is a port of the proxy itself`)

  // A workload's address means that workload; only an address of no workload means a service.
  const byAddress = state.workloadByAddress(network, destination.ip)
  const service = state.serviceByAddress(network, destination.ip, source.namespace)
  const addressed = byAddress === undefined ? service : undefined
  if (addressed !== undefined && hasWaypoint(addressed))
    return decideWaypoint(state, facts, { gateway: waypointOf(addressed, pick), service: addressed }, pick)

  if (service !== undefined) return toService(state, facts, service, byAddress, pick)
  if (byAddress === undefined) return { kind: 'tcp', why: 'passthrough', target: destination }
  return toWorkload(state, facts, { workload: byAddress, ip: destination.ip, port: destination.port }, pick)
}

function hasWaypoint(service: Service): boolean {
  return service.waypoint !== undefined || service.weightedWaypoints.length > 0
}

function waypointOf(service: Service, pick: Pick): proto.GatewayAddress | undefined {
  if (service.weightedWaypoints.length === 0) return service.waypoint
  return pick.weighted(service.weightedWaypoints, (choice) => choice.weight)?.destination ?? service.waypoint
}

function toService(
  state: MeshView,
  facts: OutboundFacts,
  service: Service,
  byAddress: Workload | undefined,
  pick: Pick,
): OutboundDecision {
  const { destination, source } = facts
  const endpoint = pick.endpoint(service, state.endpointsOf(service), balancingFacts(source, destination.port))
  if (endpoint === undefined) {
    if (service.loadBalancing?.mode === proto.LoadBalancing_Mode.PASSTHROUGH)
      return { kind: 'tcp', why: 'passthrough', target: destination, service }
    return reject(
      'no-healthy-upstream',
      `service ${service.namespace}/${service.hostname} has no healthy endpoint for port ${destination.port}`,
      'see its EndpointSlices and the readiness of its pods',
    )
  }
  const port = targetPortOf(service, endpoint, destination.port)
  if (port === undefined)
    return reject('no-healthy-upstream', `${service.hostname} does not serve port ${destination.port}`)
  const ip = endpointIp(endpoint, service, destination, byAddress)
  return toWorkload(
    state,
    facts,
    { workload: endpoint.workload, ip, port, service, direct: byAddress !== undefined },
    pick,
  )
}

/** The address asked for, when it is the endpoint's own; else one of a family that the service allows. */
function endpointIp(
  endpoint: Endpoint,
  service: Service,
  asked: SocketAddress,
  byAddress: Workload | undefined,
): string | undefined {
  if (byAddress?.uid === endpoint.workload.uid) return asked.ip
  const ip = addressOf(endpoint.workload, service, ipKeyFamily(asked.ip))
  return ip === undefined ? undefined : ipKey(ip)
}

interface Upstream {
  readonly workload: Workload
  /** Absent when the workload has only a hostname. */
  readonly ip: string | undefined
  readonly port: number
  readonly service?: Service
  /** The client asked for the workload's own address. */
  readonly direct?: boolean
}

function toWorkload(state: MeshView, facts: OutboundFacts, upstream: Upstream, pick: Pick): OutboundDecision {
  const { workload, ip, port, service } = upstream
  const served = service === undefined ? {} : { service }
  if (workload.network !== facts.network)
    return reject(
      'unknown-destination',
      `workload ${workload.uid} is on network "${workload.network}", which only an east-west gateway can reach`,
      'connections between networks (double HBONE) are not supported yet',
    )
  const byService = service !== undefined && upstream.direct !== true
  if (!byService && workload.waypoint !== undefined && !isWaypointOf(state, facts.source, workload, facts.network))
    return decideWaypoint(state, facts, { gateway: workload.waypoint, workload }, pick)
  if (ip === undefined) {
    if (workload.hostname === '') return reject('no-healthy-upstream', `workload ${workload.uid} has no address`)
    return {
      kind: 'resolve',
      hostname: workload.hostname,
      port,
      family: ipKeyFamily(facts.destination.ip),
      workload,
      ...served,
    }
  }
  switch (workload.tunnelProtocol) {
    case proto.TunnelProtocol.NONE:
      return { kind: 'tcp', why: 'plaintext', target: { ip, port }, workload, ...served }
    case proto.TunnelProtocol.HBONE:
      return {
        kind: 'hbone',
        through: 'workload',
        hop: { ip, port: ports.hbone },
        authority: formatSocketAddress(ip, port),
        identities: [formatSpiffe(identityOf(workload)), ...(service?.subjectAltNames ?? [])],
        workload,
        ...served,
      }
    default:
      return reject(
        'unknown-destination',
        `workload ${workload.uid} wants tunnel protocol ${workload.tunnelProtocol}, which is not spoken here`,
      )
  }
}

function balancingFacts(source: Workload, port: number) {
  return {
    clientLocality: source.locality,
    node: source.node,
    cluster: source.clusterId,
    network: source.network,
    port,
  }
}

function reject(code: Reject['code'], message: string, hint?: string): Reject {
  return { kind: 'reject', code, message, ...(hint === undefined ? {} : { hint }) }
}

const text = (address: SocketAddress): string => formatSocketAddress(address.ip, address.port)
