// The listeners of one Gateway: which are valid, what routes they take, and why not.
// HTTP and HTTPS for gateways, HBONE for waypoints.
import { l7 } from '@wishbone/proto'
import type { Gateway } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import { gatewayGroup } from '../names.ts'
import { createSound } from '../sound.ts'
import type { ClassKind, World } from '../world.ts'
import { resolveCertificate } from './certificates.ts'

export type ListenerSpec = Gateway['spec']['listeners'][number]

export interface RouteKind {
  readonly group: string
  readonly kind: string
}

export interface TranslatedListener {
  readonly spec: ListenerSpec
  /** Where it listens, for the l7.Listener. */
  readonly bound: l7.GatewayPort
  /** Resource name of the l7.Listener, whether or not there is one. */
  readonly name: string
  readonly supportedKinds: readonly RouteKind[]
  readonly accepted: Verdict
  readonly resolvedRefs: Verdict
  readonly conflicted?: Verdict
  /** It can serve: accepted, and with a certificate if it needs one. */
  readonly usable: boolean
  readonly certificates: readonly l7.Certificate[]
}

const httpKinds: readonly RouteKind[] = ['HTTPRoute', 'GRPCRoute'].map((kind) => ({ group: gatewayGroup, kind }))
/** Where the program itself listens in the pod. */
const reservedPorts = new Set([15000, 15008, 15020, 15021])

export function translateListeners(world: World, gateway: Gateway, kind: ClassKind): readonly TranslatedListener[] {
  return gateway.spec.listeners.map((spec) => {
    const bound = createSound(l7.GatewayPortSchema, { port: spec.port, hostname: (spec.hostname ?? '').toLowerCase() })
    const name = `gateway/${gateway.metadata.namespace}/${gateway.metadata.name}/${spec.name}`
    const protocol = protocolVerdict(spec, kind)
    const conflict = protocol.status === 'True' ? conflictOf(spec, gateway.spec.listeners) : undefined
    const kinds = protocol.status === 'True' ? kindsOf(spec, kind) : { supported: [], unknown: [] }
    const tls = protocol.status === 'True' && spec.protocol === 'HTTPS' ? tlsOf(world, gateway, spec) : undefined
    const accepted = [protocol, conflict, tls?.accepted].find((verdict) => verdict?.status === 'False') ?? protocol
    const resolvedRefs = kinds.unknown.length
      ? no('InvalidRouteKinds', `no ${kinds.unknown.join(', ')} can attach here; supported: ${kindNames(kind)}`)
      : (tls?.resolvedRefs ?? yes('ResolvedRefs'))
    const certificates = tls?.certificates ?? []
    return {
      spec,
      name,
      bound,
      supportedKinds: kinds.supported,
      accepted,
      resolvedRefs,
      ...(conflict ? { conflicted: { ...conflict, status: 'True' as const } } : {}),
      usable: accepted.status === 'True' && (spec.protocol !== 'HTTPS' || certificates.length > 0),
      certificates,
    }
  })
}

function kindNames(kind: ClassKind): string {
  return kind === 'gateway' ? httpKinds.map((k) => k.kind).join(', ') : 'none'
}

function protocolVerdict({ protocol, port }: ListenerSpec, kind: ClassKind): Verdict {
  const supported = kind === 'gateway' ? ['HTTP', 'HTTPS'] : ['HBONE']
  if (!supported.includes(protocol)) {
    return no('UnsupportedProtocol', `protocol ${protocol} is not supported here; use ${supported.join(' or ')}`)
  }
  if (kind === 'waypoint' && port !== 15008) {
    return no('PortUnavailable', `a waypoint's HBONE listener must have port 15008, not ${port}`)
  }
  if (kind === 'gateway' && reservedPorts.has(port)) {
    return no('PortUnavailable', `port ${port} is used by the gateway itself; choose another`)
  }
  return yes('Accepted')
}

/** Same port with another protocol, or with the same hostname again (Gateway API, Listener: distinct). */
function conflictOf(spec: ListenerSpec, all: readonly ListenerSpec[]): Verdict | undefined {
  for (const other of all) {
    if (other === spec || other.port !== spec.port || !['HTTP', 'HTTPS', 'HBONE'].includes(other.protocol)) continue
    if (other.protocol !== spec.protocol) {
      const where = `port ${spec.port} has protocol ${other.protocol} in listener ${other.name}`
      return no('ProtocolConflict', `${where}; choose another port`)
    }
    if ((other.hostname ?? '') === (spec.hostname ?? '')) {
      return no('HostnameConflict', `listener ${other.name} has the same port and hostname; remove one of them`)
    }
  }
  return undefined
}

function kindsOf(spec: ListenerSpec, kind: ClassKind) {
  const supported = kind === 'gateway' ? httpKinds : []
  const wanted = spec.allowedRoutes?.kinds ?? []
  if (wanted.length === 0) return { supported, unknown: [] }
  const isSupported = (k: { group?: string; kind: string }) =>
    supported.some((s) => s.kind === k.kind && s.group === (k.group ?? gatewayGroup))
  return {
    supported: supported.filter((s) => wanted.some((k) => k.kind === s.kind && (k.group ?? gatewayGroup) === s.group)),
    unknown: wanted.filter((k) => !isSupported(k)).map((k) => k.kind),
  }
}

function tlsOf(world: World, gateway: Gateway, spec: ListenerSpec) {
  const frontend = gateway.spec.tls?.frontend
  const validation =
    frontend?.perPort?.find(({ port }) => port === spec.port)?.tls.validation ?? frontend?.default.validation
  const accepted = (() => {
    if (spec.tls?.mode === 'Passthrough') return no('UnsupportedValue', 'an HTTPS listener must terminate TLS')
    // Serving without the check that was asked for would let everybody in.
    if (validation) return no('UnsupportedValue', 'client certificate validation (spec.tls.frontend) is not supported')
    return yes('Accepted')
  })()
  const refs = spec.tls?.certificateRefs ?? []
  const resolved = refs.map((ref) => resolveCertificate(world, gateway, ref))
  const bad = resolved.filter((found) => found.kind === 'invalid')
  const resolvedRefs =
    refs.length === 0
      ? no('InvalidCertificateRef', 'an HTTPS listener needs tls.certificateRefs')
      : bad[0]
        ? no(bad[0].reason, bad.map(({ message }) => message).join('; '))
        : yes('ResolvedRefs')
  const certificates = resolved.flatMap((found) => (found.kind === 'valid' ? [found.certificate] : []))
  return { accepted, resolvedRefs, certificates }
}
