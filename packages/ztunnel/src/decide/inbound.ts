// Whether an inbound connection is let in, and to which port of the pod (ambient wire §1.3, §4.3).
import { authorize } from '@wishbone/core/authorization'
import { targetPortOf } from '@wishbone/core/balancing'
import { formatAuthority, illegalPorts } from '@wishbone/core/hbone'
import { formatSpiffe } from '@wishbone/core/identity'
import { ipKey, parseIp } from '@wishbone/core/ip'
import { isMissing, type Workload } from '@wishbone/core/mesh'
import type { MeshView } from '../state/view.ts'
import type { InboundDecision, InboundFacts, Reject } from './types.ts'

/** Decides one connection. `policy-missing` may be asked again once the policies have come. */
export function decideInbound(state: MeshView, facts: InboundFacts): InboundDecision {
  if (facts.tunnelled && !isForUs(state, facts))
    return reject('bad-authority', `${formatAuthority(facts.target)} is not served at ${facts.localIp}`)
  const port = portOf(state, facts)
  if (port === undefined)
    return reject('no-healthy-upstream', `workload ${facts.local.uid} does not serve ${formatAuthority(facts.target)}`)
  if (illegalPorts.has(port)) return reject('connect-failed', `port ${port} is a port of the proxy itself`)
  return authorizeInbound(state, facts, port)
}

/** The verdict of the policies alone, for a live connection that is judged again. */
export function authorizeInbound(state: MeshView, facts: InboundFacts, port: number): InboundDecision {
  const sourceIp = parseIp(facts.peerIp)
  const destinationIp = parseIp(facts.localIp)
  if (sourceIp === undefined || destinationIp === undefined)
    return reject('bad-request', `addresses ${facts.peerIp} and ${facts.localIp} cannot be judged`)
  const found = state.policiesOf(facts.local)
  const policies = isMissing(found) ? found.known : found
  const result = authorize(policies, { source: facts.peer, sourceIp, destinationIp, destinationPort: port })
  const { dryRun } = result
  // Only a DENY is final while policies are missing: an ALLOW that is on its way could match, or a DENY.
  if (isMissing(found) && result.reason !== 'denied-by')
    return reject(
      'policy-missing',
      `policies ${found.names.join(', ')} of workload ${facts.local.uid} have not arrived`,
    )
  if (!result.allowed) {
    const who = facts.peer === undefined ? `${facts.peerIp} (no identity)` : formatSpiffe(facts.peer)
    const why = result.policy === undefined ? 'no ALLOW policy matched' : `policy ${result.policy} denies it`
    return {
      ...reject('denied', `${who} may not connect to port ${port}: ${why}`),
      ...(result.policy === undefined ? {} : { policy: result.policy }),
      dryRun,
    }
  }
  return {
    kind: 'accept',
    upstream: { ip: facts.localIp, port },
    dryRun,
    ...(result.policy === undefined ? {} : { policy: result.policy }),
  }
}

/** A tunnel may ask for our address, for a service by name, or for what we are the (sandwiched) waypoint of. */
function isForUs(state: MeshView, facts: InboundFacts): boolean {
  const { target, local, network } = facts
  if (target.kind === 'hostname' || target.ip === facts.localIp || local.applicationTunnel !== undefined) return true
  const workload = state.workloadByAddress(network, target.ip)
  const gateway = workload?.waypoint ?? state.serviceByAddress(network, target.ip, local.namespace)?.waypoint
  const waypoint = gateway === undefined ? undefined : state.resolveGateway(gateway)
  if (waypoint === undefined) return false
  if (waypoint.kind === 'workload') return sharesAddress(waypoint.workload, local)
  return state.endpointsOf(waypoint.service).some((endpoint) => endpoint.workload.uid === local.uid)
}

function sharesAddress(a: Workload, b: Workload): boolean {
  return a.uid === b.uid || a.addresses.some((x) => b.addresses.some((y) => ipKey(x) === ipKey(y)))
}

function portOf(state: MeshView, facts: InboundFacts): number | undefined {
  const { target, local } = facts
  if (facts.tunnelled && local.applicationTunnel !== undefined && local.applicationTunnel.port !== 0)
    return local.applicationTunnel.port
  if (target.kind === 'address') return target.port
  for (const service of state.servicesByHostname(target.hostname)) {
    const endpoint = state.endpointOf(service, local.uid)
    const port = endpoint === undefined ? undefined : targetPortOf(service, endpoint, target.port)
    if (port !== undefined) return port
  }
  return undefined
}

function reject(code: Reject['code'], message: string): Reject {
  return { kind: 'reject', code, message }
}
