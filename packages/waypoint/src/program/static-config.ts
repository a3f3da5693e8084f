// Resources from a YAML file instead of a controller: the same messages in protobuf's JSON form, with IP addresses as text.
import { create, fromJson, type JsonValue } from '@bufbuild/protobuf'
import { validateRequestPolicy } from '@wishbone/core/authorization'
import { parseIp } from '@wishbone/core/ip'
import type { MeshState } from '@wishbone/core/mesh'
import { authorizationName, serviceName } from '@wishbone/core/names'
import { l7, security, workload } from '@wishbone/proto'
import { parse } from 'yaml'
import type { ResourceStore } from '../state/store.ts'

export interface StaticConfig {
  readonly listeners: readonly l7.Listener[]
  readonly routes: readonly l7.Route[]
  readonly tcpRoutes: readonly l7.TcpRoute[]
  readonly udpRoutes: readonly l7.UdpRoute[]
  readonly certificates: readonly l7.Certificate[]
  readonly addresses: readonly workload.Address[]
  readonly authorizations: readonly security.Authorization[]
  readonly requestPolicies: readonly l7.RequestPolicy[]
}

type Section = readonly JsonValue[]

/** @throws Error that names the section and entry that cannot be read. */
export function parseStaticConfig(text: string): StaticConfig {
  const root = (parse(text) ?? {}) as Record<string, Section | undefined>
  const known = [
    'listeners',
    'routes',
    'tcpRoutes',
    'udpRoutes',
    'certificates',
    'addresses',
    'authorizations',
    'requestPolicies',
  ]
  for (const name of Object.keys(root))
    if (!known.includes(name)) throw new Error(`unknown section "${name}"; there are ${known.join(', ')}`)
  const read = <T>(name: string, decode: (value: JsonValue) => T): T[] =>
    (root[name] ?? []).map((value, index) => {
      try {
        return decode(value)
      } catch (cause) {
        throw new Error(`${name}[${index}]: ${(cause as Error).message}`, { cause })
      }
    })
  return {
    listeners: read('listeners', (value) => fromJson(l7.ListenerSchema, value)),
    routes: read('routes', (value) => fromJson(l7.RouteSchema, value)),
    udpRoutes: read('udpRoutes', (value) => fromJson(l7.UdpRouteSchema, withBytes(value))),
    tcpRoutes: read('tcpRoutes', (value) => fromJson(l7.TcpRouteSchema, value)),
    certificates: read('certificates', (value) => fromJson(l7.CertificateSchema, value)),
    addresses: read('addresses', (value) =>
      create(workload.AddressSchema, fromJson(workload.AddressSchema, withBytes(value))),
    ),
    authorizations: read('authorizations', (value) => fromJson(security.AuthorizationSchema, withBytes(value))),
    requestPolicies: read('requestPolicies', (value) => fromJson(l7.RequestPolicySchema, withBytes(value))),
  }
}

/** Puts everything in force at once. */
export function applyStaticConfig(config: StaticConfig, store: ResourceStore, state: MeshState): void {
  const named = <T extends { readonly name: string }>(resources: readonly T[]) =>
    resources.map((resource) => [resource.name, resource] as const)
  const rejected = [
    ...state.applyAuthorizations({
      authorizations: config.authorizations.map((one) => [authorizationName(one.namespace, one.name), one]),
      removed: [],
    }),
    ...state.apply({ addresses: config.addresses.map((address) => [nameOf(address), address]), removed: [] }),
  ]
  for (const policy of config.requestPolicies) {
    const reason = validateRequestPolicy(policy)
    if (reason !== undefined) rejected.push({ name: policy.name, reason })
  }
  if (rejected.length > 0) throw new Error(rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; '))
  store.apply('requestPolicies', named(config.requestPolicies), [])
  store.apply('certificates', named(config.certificates), [])
  store.apply('listeners', named(config.listeners), [])
  store.apply('routes', named(config.routes), [])
  store.apply('tcpRoutes', named(config.tcpRoutes), [])
  store.apply('udpRoutes', named(config.udpRoutes), [])
  store.flush()
}

function nameOf({ type }: workload.Address): string {
  if (type.case === 'workload') return type.value.uid
  return type.case === 'service' ? serviceName(type.value.namespace, type.value.hostname) : ''
}

/** Texts that are IP addresses become base64, which protobuf's JSON form wants, where a field holds bytes. */
function withBytes(value: JsonValue, key = ''): JsonValue {
  if (typeof value === 'string') {
    const ip = key === 'addresses' || key === 'address' ? parseIp(value) : undefined
    return ip === undefined ? value : Buffer.from(ip).toString('base64')
  }
  if (Array.isArray(value)) return value.map((item) => withBytes(item, key))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBytes(item, name)]))
}
