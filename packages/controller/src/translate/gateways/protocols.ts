// Which protocols listeners may have, what kinds of routes they take, and which of them can share a port.
import { l7 } from '@wishbone/proto'
import { no, type Verdict, yes } from '../conditions.ts'
import { gatewayGroup } from '../names.ts'
import { type ClassKind, keyOf } from '../world.ts'
import type { ListenerOwner, ListenerSpec, OwnedListener } from './listener-spec.ts'

export interface RouteKind {
  readonly group: string
  readonly kind: string
}

interface Protocol {
  readonly message: l7.Protocol
  readonly routes: readonly string[]
  /** Listeners of one group can share a port, told apart by hostname. */
  readonly sharing: 'http' | 'tls' | 'tcp' | 'udp' | 'hbone'
}

const gatewayProtocols: Readonly<Record<string, Protocol>> = {
  HTTP: { message: l7.Protocol.HTTP, routes: ['HTTPRoute', 'GRPCRoute'], sharing: 'http' },
  HTTPS: { message: l7.Protocol.HTTPS, routes: ['HTTPRoute', 'GRPCRoute'], sharing: 'tls' },
  TLS: { message: l7.Protocol.TLS, routes: ['TLSRoute'], sharing: 'tls' },
  TCP: { message: l7.Protocol.TCP, routes: ['TCPRoute'], sharing: 'tcp' },
  UDP: { message: l7.Protocol.UDP, routes: ['UDPRoute'], sharing: 'udp' },
}
const waypointProtocols: Readonly<Record<string, Protocol>> = {
  HBONE: { message: l7.Protocol.UNSPECIFIED, routes: [], sharing: 'hbone' },
}

/** Where the program itself listens in the pod. */
const reservedPorts = new Set([15000, 15008, 15020, 15021])

function protocolsOf(kind: ClassKind): Readonly<Record<string, Protocol>> {
  return kind === 'gateway' ? gatewayProtocols : waypointProtocols
}

/** Of a gateway's listener whose protocol was accepted. */
export function messageProtocol({ protocol }: ListenerSpec): l7.Protocol {
  return gatewayProtocols[protocol]?.message ?? l7.Protocol.UNSPECIFIED
}

export function protocolVerdict({ protocol, port }: ListenerSpec, kind: ClassKind): Verdict {
  const supported = Object.keys(protocolsOf(kind))
  if (!supported.includes(protocol)) {
    return no('UnsupportedProtocol', `protocol ${protocol} is not supported here; use ${supported.join(', ')}`)
  }
  if (kind === 'waypoint' && port !== 15008) {
    return no('PortUnavailable', `a waypoint's HBONE listener must have port 15008, not ${port}`)
  }
  if (kind === 'gateway' && protocol !== 'UDP' && reservedPorts.has(port)) {
    return no('PortUnavailable', `port ${port} is used by the gateway itself; choose another`)
  }
  return yes('Accepted')
}

/** The kinds that the listener takes, of those that it names or all, and the named ones that it can't. */
export function routeKinds(spec: ListenerSpec, kind: ClassKind) {
  const kinds = protocolsOf(kind)[spec.protocol]?.routes ?? []
  const supported: readonly RouteKind[] = kinds.map((one) => ({ group: gatewayGroup, kind: one }))
  const wanted = spec.allowedRoutes?.kinds ?? []
  if (wanted.length === 0) return { supported, unknown: [], possible: kinds }
  const isSupported = (k: { group?: string; kind: string }) =>
    supported.some((s) => s.kind === k.kind && s.group === (k.group ?? gatewayGroup))
  return {
    supported: supported.filter((s) => wanted.some((k) => k.kind === s.kind && (k.group ?? gatewayGroup) === s.group)),
    unknown: wanted.filter((k) => !isSupported(k)).map((k) => k.kind),
    possible: kinds,
  }
}

/** Why the listener can't be beside one of `others` (Gateway API, Listener: distinct); undefined: it can. */
export function conflictOf(
  { spec, owner }: OwnedListener,
  others: readonly OwnedListener[],
  kind: ClassKind,
): Verdict | undefined {
  const protocols = protocolsOf(kind)
  const own = protocols[spec.protocol]
  for (const { spec: other, owner: otherOwner } of others) {
    const against = protocols[other.protocol]
    if (!own || !against || other === spec || other.port !== spec.port) continue
    // A port of UDP has nothing to do with the same one of TCP.
    if ((own.sharing === 'udp') !== (against.sharing === 'udp')) continue
    if (own.sharing !== against.sharing) {
      const where = `port ${spec.port} has protocol ${other.protocol} in ${nameOf(other, otherOwner, owner)}`
      return no('ProtocolConflict', `${where}; choose another port`)
    }
    const byHostname = own.sharing === 'http' || own.sharing === 'tls'
    if (!byHostname || (other.hostname ?? '').toLowerCase() === (spec.hostname ?? '').toLowerCase()) {
      const same = byHostname ? 'the same port and hostname' : 'the same port'
      return no('HostnameConflict', `${nameOf(other, otherOwner, owner)} has ${same}; remove one of them`)
    }
  }
  return undefined
}

/** Names repeat between a Gateway and its ListenerSets, which may be other people's. */
function nameOf(listener: ListenerSpec, owner: ListenerOwner, reader: ListenerOwner): string {
  const { kind, metadata } = owner
  const isOwn =
    kind === reader.kind && metadata.namespace === reader.metadata.namespace && metadata.name === reader.metadata.name
  return isOwn ? `listener ${listener.name}` : `listener ${listener.name} of ${kind} ${keyOf(owner)}`
}
