// Backends of the wire; anything that cannot be understood is an invalid backend, never a missing one.
import { l7 } from '@wishbone/proto'
import type { Backend, Bound, Filters, Protocol, Upstream } from './types.ts'

export function compileBackend(backend: l7.Backend | undefined, weight: number, filters: Filters | null): Backend {
  const target = backend?.target
  if (target?.case === 'service') {
    const { namespace, hostname, port, tls } = target.value
    const service = `${namespace}/${hostname}`
    const protocol = protocolOf(target.value.protocol)
    // Plain HTTP could be what it must not be.
    if (protocol === undefined) {
      const message = 'the backend speaks a protocol that this version does not know'
      return { kind: 'invalid', weight, filters, reason: 'UnknownProtocol', message }
    }
    return {
      kind: 'service',
      weight,
      filters,
      service,
      namespace,
      hostname,
      port,
      protocol,
      tls,
    }
  }
  if (target?.case === 'invalid') return { kind: 'invalid', weight, filters, ...pick(target.value) }
  const message = 'the backend is of a kind that this version does not know'
  return { kind: 'invalid', weight, filters, reason: 'UnknownKind', message }
}

/** The Service or workload that a waypoint's listener stands in front of. */
export function backendOfService(bound: Bound, protocol: Protocol, port: number): Upstream | undefined {
  const common = { weight: 1, filters: null, protocol }
  if (bound.kind === 'service')
    return {
      kind: 'service',
      ...common,
      service: `${bound.namespace}/${bound.hostname}`,
      namespace: bound.namespace,
      hostname: bound.hostname,
      port: bound.port,
      tls: undefined,
    }
  return bound.kind === 'workload' ? { kind: 'workload', ...common, uid: bound.uid, port } : undefined
}

/** Undefined: a protocol of a later version. */
export function protocolOf(protocol: l7.Protocol): Protocol | undefined {
  switch (protocol) {
    case l7.Protocol.HTTP:
      return 'http'
    case l7.Protocol.HTTP2:
      return 'http2'
    case l7.Protocol.TCP:
      return 'tcp'
    case l7.Protocol.TLS:
      return 'tls'
    case l7.Protocol.HTTPS:
      return 'https'
    case l7.Protocol.UDP:
      return 'udp'
    case l7.Protocol.UNSPECIFIED:
      return 'unknown'
    default:
      return undefined
  }
}

function pick(invalid: l7.InvalidBackend): { reason: string; message: string } {
  return { reason: invalid.reason, message: invalid.message }
}
