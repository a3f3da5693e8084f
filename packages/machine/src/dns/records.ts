// What the cluster's names mean, as a function of Services and their slices (Kubernetes' DNS specification 1.1.0). Pure.
import type { EndpointSlice, Service } from '../types.ts'

export interface Directory {
  service(namespace: string, name: string): Service | undefined
  slices(namespace: string, name: string): readonly EndpointSlice[]
  /** Names outside the cluster. */
  readonly outside: ReadonlyMap<string, readonly string[]>
  readonly domain: string
}

export interface SrvRecord {
  readonly target: string
  readonly port: number
}

export type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  | { readonly kind: 'services'; readonly records: readonly SrvRecord[] }
  | { readonly kind: 'unknown' }

const unknown: Answer = { kind: 'unknown' }

function readyEndpoints(
  directory: Directory,
  service: Service,
): { address: string; hostname: string | undefined; slice: EndpointSlice }[] {
  const all = service.spec.publishNotReadyAddresses ?? false
  return directory
    .slices(service.metadata.namespace ?? '', service.metadata.name)
    .flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter((endpoint) => all || endpoint.conditions?.ready !== false)
        .flatMap((endpoint) => endpoint.addresses.map((address) => ({ address, hostname: endpoint.hostname, slice }))),
    )
}

const dashed = (address: string): string => address.replaceAll(/[.:]/g, '-')

function addressesOf(directory: Directory, service: Service, hostname: string | undefined): Answer {
  const headless = service.spec.clusterIP === 'None'
  if (hostname !== undefined) {
    const found = readyEndpoints(directory, service).filter(
      (endpoint) => endpoint.hostname === hostname || dashed(endpoint.address) === hostname,
    )
    return found.length > 0 ? { kind: 'addresses', addresses: found.map((endpoint) => endpoint.address) } : unknown
  }
  if (headless)
    return { kind: 'addresses', addresses: readyEndpoints(directory, service).map((endpoint) => endpoint.address) }
  return { kind: 'addresses', addresses: (service.spec.clusterIPs ?? []).filter((ip) => ip !== 'None') }
}

function srvOf(directory: Directory, service: Service, port: string, protocol: string): Answer {
  const base = `${service.metadata.name}.${service.metadata.namespace}.svc.${directory.domain}`
  if (service.spec.clusterIP !== 'None') {
    const found = service.spec.ports?.find(
      (entry) => entry.name === port && (entry.protocol ?? 'TCP').toLowerCase() === protocol,
    )
    return found ? { kind: 'services', records: [{ target: base, port: found.port }] } : unknown
  }
  const records = readyEndpoints(directory, service).flatMap(({ address, hostname, slice }) => {
    const found = slice.ports?.find(
      (entry) => entry.name === port && (entry.protocol ?? 'TCP').toLowerCase() === protocol,
    )
    return found?.port ? [{ target: `${hostname ?? dashed(address)}.${base}`, port: found.port }] : []
  })
  return records.length > 0 ? { kind: 'services', records } : unknown
}

/** The meaning of a whole name (without search domains), whatever record types it has. */
export function resolveName(directory: Directory, name: string): Answer {
  const wanted = name.toLowerCase().replace(/\.$/, '')
  const outside = directory.outside.get(wanted)
  if (outside) return { kind: 'addresses', addresses: outside }
  const suffix = `.svc.${directory.domain}`
  if (!wanted.endsWith(suffix)) return unknown
  const labels = wanted.slice(0, -suffix.length).split('.')
  const namespace = labels.pop() ?? ''
  const serviceName = labels.pop()
  if (!serviceName) return unknown
  const service = directory.service(namespace, serviceName)
  if (!service) return unknown
  const [first, second] = labels
  if (labels.length === 2 && first?.startsWith('_') && second?.startsWith('_'))
    return srvOf(directory, service, first.slice(1), second.slice(1))
  return labels.length <= 1 ? addressesOf(directory, service, first) : unknown
}
