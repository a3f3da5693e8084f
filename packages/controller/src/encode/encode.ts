// Messages to bytes, with versions that are hashes of the content. Deterministic: the same mesh
// gives the same bytes on every replica.
import { createHash } from 'node:crypto'
import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { formatIp } from '@wishbone/core/ip'
import { l7, security, type TypeUrl, typeUrls, workload } from '@wishbone/proto'
import type { Mesh, Resource, ResourceScope, ResourceSet, Resources } from '../model/index.ts'

/** Encodes every resource of the mesh once; clients' views only choose among them. */
export function encode(mesh: Mesh): ResourceSet {
  const addresses = encodeAddresses(mesh)
  const scopes = new Map<string, ResourceScope>()
  for (const [key, scope] of mesh.scopes) {
    scopes.set(key, {
      serviceAccount: scope.serviceAccount,
      names: new Map<TypeUrl, ReadonlySet<string>>([
        [typeUrls.address, new Set([...scope.services, ...scope.workloads])],
        [typeUrls.authorization, scope.authorizations],
        [typeUrls.requestPolicy, scope.authorizations],
        [typeUrls.listener, scope.listeners],
        [typeUrls.route, scope.routes],
        [typeUrls.tcpRoute, scope.tcpRoutes],
        [typeUrls.udpRoute, scope.udpRoutes],
        [typeUrls.certificate, scope.certificates],
      ]),
    })
  }
  const ztunnel: Resources = new Map([
    [typeUrls.address, addresses],
    [typeUrls.authorization, encodePolicies(mesh.authorizations)],
  ])
  const gateway: Resources = new Map<TypeUrl, ReadonlyMap<string, Resource>>([
    [typeUrls.address, addresses],
    [typeUrls.authorization, encodePolicies(mesh.waypointAuthorizations)],
    [typeUrls.requestPolicy, encodeAll(l7.RequestPolicySchema, mesh.requestPolicies)],
    [typeUrls.listener, encodeAll(l7.ListenerSchema, mesh.listeners)],
    [typeUrls.route, encodeRoutes(l7.RouteSchema, mesh.routes)],
    [typeUrls.tcpRoute, encodeRoutes(l7.TcpRouteSchema, mesh.tcpRoutes)],
    [typeUrls.udpRoute, encodeRoutes(l7.UdpRouteSchema, mesh.udpRoutes)],
    [typeUrls.certificate, encodeAll(l7.CertificateSchema, mesh.certificates)],
  ])
  return { ztunnel, gateway, scopes }
}

function encodeAddresses(mesh: Mesh): ReadonlyMap<string, Resource> {
  const resources = new Map<string, Resource>()
  for (const [name, service] of mesh.services) {
    const address = create(workload.AddressSchema, { type: { case: 'service', value: service } })
    const aliases = service.addresses.map(({ network, address: ip }) => `${network}/${formatIp(ip)}`)
    resources.set(name, resource(workload.AddressSchema, name, address, aliases))
  }
  for (const [name, value] of mesh.workloads) {
    const address = create(workload.AddressSchema, { type: { case: 'workload', value } })
    // Host-network workloads share their node's address: it names none of them (ambient wire §2.4, field 25).
    const indexed = value.networkMode === workload.NetworkMode.STANDARD
    const aliases = indexed ? value.addresses.map((ip) => `${value.network}/${formatIp(ip)}`) : []
    const groups = [...Object.keys(value.services), ...(value.node === '' ? [] : [`node:${value.node}`])]
    resources.set(name, { ...resource(workload.AddressSchema, name, address, aliases), groups })
  }
  return resources
}

function encodeAll<Desc extends DescMessage>(schema: Desc, messages: ReadonlyMap<string, MessageShape<Desc>>) {
  return new Map([...messages].map(([name, message]) => [name, resource(schema, name, message, [])]))
}

function encodePolicies(policies: Mesh['authorizations']): ReadonlyMap<string, Resource> {
  const encoded = encodeAll(security.AuthorizationSchema, policies)
  for (const [name, { scope }] of policies)
    encoded.set(name, { ...encoded.get(name)!, shared: scope !== security.Scope.WORKLOAD_SELECTOR })
  return encoded
}

/** Of messages that are never changed once they are translated. */
const encodedRoutes = new WeakMap<object, Resource>()

/** As `encodeAll`; a message that was encoded before gives the same resource. */
function encodeRoutes<Desc extends DescMessage>(schema: Desc, messages: ReadonlyMap<string, MessageShape<Desc>>) {
  const resources = new Map<string, Resource>()
  for (const [name, message] of messages) {
    let encoded = encodedRoutes.get(message)
    if (encoded === undefined) {
      encoded = resource(schema, name, message, [])
      encodedRoutes.set(message, encoded)
    }
    resources.set(name, encoded)
  }
  return resources
}

function resource<Desc extends DescMessage>(
  schema: Desc,
  name: string,
  message: MessageShape<Desc>,
  aliases: readonly string[],
): Resource {
  const bytes = toBinary(schema, message)
  const version = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  return { name, aliases, version, bytes }
}
