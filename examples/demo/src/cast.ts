// The pods and addresses that the scenes have in common.
import {
  type Cluster,
  isLeaving,
  isReady,
  type Outcome,
  type PodObject,
  until,
  type Wiretap,
} from '@wishbone/testing/cluster'

export const details = 'http://details.bookinfo:9080/details/0'
export const reviews = 'http://reviews.bookinfo:9080/reviews/0'
export const ratings = 'http://ratings.bookinfo:9080/ratings/0'

/** The ready pod with these labels; waits for it. */
export function onePod(cluster: Cluster, namespace: string, selector: string): Promise<PodObject> {
  return until(`a ready pod ${selector} in ${namespace}`, async () =>
    (await cluster.pods(namespace, selector)).find(isReady),
  )
}

/** A client pod of the mesh's namespace on another node than the pod `selector`, so that its calls cross the link. */
export async function crossing(
  cluster: Cluster,
  selector: string,
): Promise<{ client: PodObject; server: PodObject; node: string }> {
  const server = await onePod(cluster, 'bookinfo', selector)
  return until(`a client on another node than ${server.spec.nodeName}`, async () => {
    const clients = await cluster.pods('bookinfo', 'app=client')
    const client = clients.find((pod) => isReady(pod) && pod.spec.nodeName !== server.spec.nodeName)
    return client?.spec.nodeName ? { client, server, node: client.spec.nodeName } : undefined
  })
}

/** A call of details from `client`, and what of it could be read on the link of its node. */
export async function tapped(
  cluster: Cluster,
  client: PodObject,
  node: string,
): Promise<{ readonly answer: Outcome; readonly seen: Wiretap }> {
  let answer: Outcome = { ms: 0, error: 'not asked' }
  const seen = await cluster.wiretap(node, {
    find: ['GET /details/0', 'William Shakespeare'],
    during: async () => {
      answer = await cluster.toolbox(client, 'http', details)
    },
  })
  return { answer, seen }
}

export function isEnrolled(pod: PodObject): boolean {
  return pod.metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled'
}

/** Whether its namespace's label decides about the pod: waypoints and pods on the node's network are never enrolled. */
function followsItsNamespace(pod: PodObject): boolean {
  const { hostNetwork } = pod.spec as { readonly hostNetwork?: boolean }
  return hostNetwork !== true && pod.metadata.labels?.['istio.io/dataplane-mode'] !== 'none'
}

/** Waits until every running pod of the namespace is in the mesh, or none is; how many there are. */
export async function allEnrolled(cluster: Cluster, wanted: boolean, namespace = 'bookinfo'): Promise<number> {
  return until(`every pod of ${namespace} ${wanted ? 'in' : 'out of'} the mesh`, async () => {
    const pods = (await cluster.pods(namespace, '')).filter(
      (pod) => pod.status?.phase === 'Running' && !isLeaving(pod) && followsItsNamespace(pod),
    )
    return pods.length > 0 && pods.every((pod) => isEnrolled(pod) === wanted) && pods.length
  })
}

interface KnownWorkloads {
  readonly workloads?: readonly { readonly name: string; readonly namespace: string; readonly protocol: string }[]
}

/** Waits until the ztunnel of the client's node has been told that `server` is called through a tunnel: it calls plainly before. */
export async function tunnelled(cluster: Cluster, client: PodObject, server: PodObject): Promise<void> {
  const { name, namespace } = server.metadata
  const { nodeName } = client.spec
  await until(`the ztunnel of ${nodeName} to know ${namespace}/${name} as a pod of the mesh`, async () => {
    const ztunnels = (await cluster.pods('wishbone-system', 'app=ztunnel')).filter(
      (pod) => isReady(pod) && pod.spec.nodeName === nodeName,
    )
    const dumps = await Promise.all(ztunnels.map((pod) => cluster.fetch(pod, 15_000, '/config_dump')))
    const knows = ({ workloads = [] }: KnownWorkloads): boolean =>
      workloads.some((one) => one.name === name && one.namespace === namespace && one.protocol === 'HBONE')
    return dumps.length > 0 && dumps.every((dump) => knows(JSON.parse(dump) as KnownWorkloads))
  })
}

/** Restart counts and container ids of all pods: equal before and after means that nothing was restarted. */
export async function incarnations(cluster: Cluster): Promise<string> {
  const pods = await cluster.pods('bookinfo', '')
  return pods
    .map(
      (pod) =>
        `${pod.metadata.uid}:${(pod.status?.containerStatuses ?? []).map((status) => `${status.containerID}/${status.restartCount}`).join(',')}`,
    )
    .sort()
    .join(' ')
}

interface RouteStatus {
  readonly status?: {
    readonly parents?: readonly { readonly conditions?: readonly { type: string; status: string }[] }[]
  }
}

/** Waits until a route's every parent has it Accepted and its references resolved. */
export function routeAccepted(cluster: Cluster, kind: string, namespace: string, name: string): Promise<true> {
  return until(`${kind} ${namespace}/${name} to be accepted`, async () => {
    const { status } = (await cluster.get(kind, namespace, name)) as unknown as RouteStatus
    const parents = status?.parents ?? []
    const holds = (type: string) =>
      parents.every((parent) =>
        parent.conditions?.some((condition) => condition.type === type && condition.status === 'True'),
      )
    return parents.length > 0 && holds('Accepted') && holds('ResolvedRefs') ? true : undefined
  })
}
