// Which URL a port of a LoadBalancer Service can be reached by: what its Gateway's listeners say, else what the Service says.
import type { KubeObject } from './api/objects/object.ts'
import type { ApiClient } from './client/api.ts'
import type { Service, ServicePort } from './types.ts'

interface Listener {
  readonly port: number
  readonly protocol: string
}

interface WithListeners extends KubeObject {
  readonly spec: {
    readonly listeners?: readonly Listener[]
    readonly parentRef?: { readonly name: string; readonly namespace?: string }
  }
}

const schemes: Readonly<Record<string, string>> = { HTTP: 'http', HTTPS: 'https', TLS: 'tls', TCP: 'tcp', UDP: 'udp' }
const known = new Set(['http', 'https', 'tls', 'tcp', 'udp'])

/** Of a Gateway API listener's protocol. */
export function schemeOfProtocol(protocol: string): string {
  return schemes[protocol] ?? protocol.toLowerCase()
}

/** By appProtocol, by the name up to its first "-", by well-known numbers; bytes otherwise. Pure. */
export function schemeOfPort({ appProtocol, name, port, protocol = 'TCP' }: ServicePort): string {
  if (protocol !== 'TCP') return schemeOfProtocol(protocol)
  const said = [appProtocol?.toLowerCase(), name?.split('-')[0]].find((word) => word !== undefined && known.has(word))
  return said ?? (port === 80 || port === 8080 ? 'http' : port === 443 || port === 8443 ? 'https' : 'tcp')
}

/** Never rejects. */
export async function schemeOf(client: ApiClient, { metadata }: Service, port: ServicePort): Promise<string> {
  const gateway = metadata.ownerReferences?.find(({ kind }) => kind === 'Gateway')?.name
  if (gateway === undefined) return schemeOfPort(port)
  const listeners = await listenersOf(client, metadata.namespace ?? '', gateway).catch(() => [])
  const isUdp = port.protocol === 'UDP'
  const listener = listeners.find((one) => one.port === port.port && (one.protocol === 'UDP') === isUdp)
  return listener === undefined ? schemeOfPort(port) : schemeOfProtocol(listener.protocol)
}

/** The Gateway's own and those of the ListenerSets that name it. */
async function listenersOf(client: ApiClient, namespace: string, gateway: string): Promise<readonly Listener[]> {
  const group = '/apis/gateway.networking.k8s.io/v1'
  const own = await client.kube.get<WithListeners>(`${group}/namespaces/${namespace}/gateways/${gateway}`)
  const sets = await client.kube
    .get<{ readonly items: readonly WithListeners[] }>(`${group}/listenersets`)
    .catch(() => ({ items: [] }))
  const attached = sets.items.filter(
    ({ metadata, spec: { parentRef } }) =>
      parentRef?.name === gateway && (parentRef.namespace ?? metadata.namespace) === namespace,
  )
  return [own, ...attached].flatMap(({ spec }) => spec.listeners ?? [])
}
