// Names of resources on the ADS stream (ambient wire §2.2, §2.3).
import { ipKey, parseIp } from '../ip/address.ts'

/** The fully qualified name of a Kubernetes Service. */
export function serviceFqdn(namespace: string, name: string, clusterDomain = 'cluster.local'): string {
  return `${name}.${namespace}.svc.${clusterDomain}`
}

/** The uid of a Pod's workload: <cluster>//Pod/<namespace>/<name>. */
export function workloadUid(cluster: string, namespace: string, name: string): string {
  return `${cluster}//Pod/${namespace}/${name}`
}

/** The name of a service's resource: <namespace>/<hostname>. */
export function serviceName(namespace: string, hostname: string): string {
  return `${namespace}/${hostname}`
}

/** The name of an authorization: <namespace>/<name>. */
export function authorizationName(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

/** The alias under which an address is asked for on demand: <network>/<ip>, or <network>/<ip>/<length> for a network. */
export function addressName(network: string, ip: string, length?: number): string {
  return length === undefined ? `${network}/${ip}` : `${network}/${ip}/${length}`
}

/** Splits at the first "/": [namespace, name]; undefined without one. */
export function splitName(name: string): readonly [namespace: string, name: string] | undefined {
  const slash = name.indexOf('/')
  return slash < 0 ? undefined : [name.slice(0, slash), name.slice(slash + 1)]
}

export type ParsedAddressName =
  | { readonly kind: 'address'; readonly network: string; readonly ip: string }
  | { readonly kind: 'service'; readonly namespace: string; readonly hostname: string }
  | { readonly kind: 'workload'; readonly uid: string }

/** Tells the three forms of an Address resource's name apart. Anything that is neither of the first two is a uid. */
export function parseAddressName(name: string): ParsedAddressName {
  const parts = splitName(name)
  if (parts === undefined || parts[1].includes('/') || parts[1] === '') return { kind: 'workload', uid: name }
  const ip = parseIp(parts[1])
  if (ip !== undefined) return { kind: 'address', network: parts[0], ip: ipKey(ip) }
  return { kind: 'service', namespace: parts[0], hostname: parts[1] }
}
