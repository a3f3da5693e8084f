// The choice itself: candidates with the port and an address, narrowed by locality, then weighted by capacity.
import { workload as proto } from '@wishbone/proto'
import type { Endpoint } from '../mesh/types.ts'
import { addressOf, hasAddress, targetPortOf } from './target.ts'
import { pickWeighted } from './weighted.ts'

/** Where the client is and what it asks for; absent members are unknown and equal nothing but an empty value. */
export interface BalancingFacts {
  readonly clientLocality?: proto.Locality | undefined
  readonly node?: string
  readonly cluster?: string
  readonly network?: string
  /** The service's port; without it every endpoint counts as serving it. */
  readonly port?: number
  /** Endpoints to leave out, say those that were tried already. */
  readonly accept?: (endpoint: Endpoint) => boolean
}

/** One endpoint for one connection, or undefined when none fits. `random` answers in [0, 1). */
export function pickEndpoint(
  service: proto.Service,
  endpoints: readonly Endpoint[],
  facts: BalancingFacts,
  random: () => number,
): Endpoint | undefined {
  const candidates = candidatesOf(service, endpoints, facts)
  if (candidates.length === 1) return candidates[0]
  return pickWeighted(candidates, capacityOf, random)
}

/** The endpoints among which the choice is made: those that can be reached, of the best locality. */
export function candidatesOf(
  service: proto.Service,
  endpoints: readonly Endpoint[],
  facts: BalancingFacts,
): readonly Endpoint[] {
  const usable = endpoints.filter((endpoint) => isUsable(service, endpoint, facts))
  const balancing = service.loadBalancing
  if (balancing === undefined || balancing.routingPreference.length === 0) return usable
  const scopes = balancing.routingPreference
  if (balancing.mode === proto.LoadBalancing_Mode.STRICT)
    return usable.filter((endpoint) => rankOf(endpoint, scopes, facts) === scopes.length)
  if (balancing.mode !== proto.LoadBalancing_Mode.FAILOVER) return usable
  let best = 0
  let winners: Endpoint[] = []
  for (const endpoint of usable) {
    const rank = rankOf(endpoint, scopes, facts)
    if (rank > best) {
      best = rank
      winners = []
    }
    if (rank === best) winners.push(endpoint)
  }
  return winners
}

function isUsable(service: proto.Service, endpoint: Endpoint, facts: BalancingFacts): boolean {
  const { workload } = endpoint
  if (capacityOf(endpoint) === 0 || !hasAddress(workload)) return false
  // Addresses of a family that the service forbids are no addresses.
  const unreachable = workload.hostname === '' && workload.networkGateway === undefined
  if (unreachable && addressOf(workload, service, 4) === undefined) return false
  if (facts.port !== undefined && targetPortOf(service, endpoint, facts.port) === undefined) return false
  return facts.accept === undefined || facts.accept(endpoint)
}

/** How many of the scopes hold, in order, before the first that does not. */
function rankOf(endpoint: Endpoint, scopes: readonly proto.LoadBalancing_Scope[], facts: BalancingFacts): number {
  let rank = 0
  while (rank < scopes.length && holds(endpoint.workload, scopes[rank]!, facts)) rank++
  return rank
}

function holds(workload: proto.Workload, scope: proto.LoadBalancing_Scope, facts: BalancingFacts): boolean {
  const scopes = proto.LoadBalancing_Scope
  switch (scope) {
    case scopes.REGION:
      return (workload.locality?.region ?? '') === (facts.clientLocality?.region ?? '')
    case scopes.ZONE:
      return (workload.locality?.zone ?? '') === (facts.clientLocality?.zone ?? '')
    case scopes.SUBZONE:
      return (workload.locality?.subzone ?? '') === (facts.clientLocality?.subzone ?? '')
    case scopes.NODE:
      return workload.node === (facts.node ?? '')
    case scopes.CLUSTER:
      return (workload.clusterId || 'Kubernetes') === (facts.cluster || 'Kubernetes')
    case scopes.NETWORK:
      return workload.network === (facts.network ?? '')
    default:
      // A scope of a later protocol narrows nothing.
      return true
  }
}

function capacityOf(endpoint: Endpoint): number {
  return endpoint.workload.capacity ?? 1
}
