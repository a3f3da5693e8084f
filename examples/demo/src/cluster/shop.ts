// A small application of its own for a scene: `server` (two pods, every protocol) and `client` (a pod a node), in the mesh.
import { type Cluster, isReady, type PodObject, until } from '@wishbone/testing/cluster'
import { castOf } from '@wishbone/testing/world'
import { allEnrolled, tunnelled } from '../cast.ts'
import { stageNamespace } from './namespaces.ts'

export interface Shop extends AsyncDisposable {
  readonly namespace: string
  readonly client: PodObject
  /** A pod of `server` on another node than `client`. */
  readonly server: PodObject
  readonly clients: readonly PodObject[]
}

function readyPods(cluster: Cluster, namespace: string, selector: string, count: number) {
  return until(
    `${count} ready pods ${selector} in ${namespace}`,
    async () => {
      const pods = (await cluster.pods(namespace, selector)).filter(isReady)
      return pods.length >= count && pods
    },
    120_000,
  )
}

/** Opens it in the mesh; `more` is YAML that belongs to it. Disposing removes the namespace. */
export async function openShop(cluster: Cluster, namespace: string, more = ''): Promise<Shop> {
  const removal = await stageNamespace(cluster, namespace, `${castOf({ namespace, spread: true })}---\n${more}`)
  try {
    const servers = await readyPods(cluster, namespace, 'app=server', 2)
    const clients = await readyPods(cluster, namespace, 'app=client', 2)
    await allEnrolled(cluster, true, namespace)
    const pairs = clients.flatMap((client) => servers.map((server) => ({ client, server })))
    const crossing = pairs.find(({ client, server }) => client.spec.nodeName !== server.spec.nodeName)
    if (!crossing) throw new Error(`${namespace}: no pod of server is on another node than a client`)
    await tunnelled(cluster, crossing.client, crossing.server)
    return { namespace, ...crossing, clients, [Symbol.asyncDispose]: () => removal[Symbol.asyncDispose]() }
  } catch (cause) {
    await removal[Symbol.asyncDispose]()
    throw cause
  }
}

/** A route that marks what has passed the waypoint of `server`. */
export function markingRoute(namespace: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: server, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: server, port: 8080 }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-through, value: waypoint }] }
      backendRefs: [{ name: server, port: 8080 }]
`
}

/** Labels of a Service; null removes. */
export async function labelService(
  cluster: Cluster,
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string | null>>,
): Promise<void> {
  await cluster.patch('services', namespace, name, { metadata: { labels } })
}

/** Waits until `server` answers through its waypoint. */
export async function throughWaypoint(cluster: Cluster, { client, namespace }: Shop): Promise<void> {
  await until(
    'server to answer through its waypoint',
    async () => {
      const answer = await cluster.toolbox(client, 'http', `http://server.${namespace}:8080/`)
      if (answer.status === 200 && answer.headers?.['x-through'] === 'waypoint') return true
      throw new Error(`last answer ${answer.status ?? answer.error}, x-through ${answer.headers?.['x-through']}`)
    },
    120_000,
  )
}
