// Waiting for the cluster's parts through its API.
import { KubeClient, loadConnection } from '../../packages/runtime/src/kube/index.ts'
import { isAlive, recordOf } from './process.ts'
import { type NodeSettings, paths } from './settings.ts'
import { ClusterError, until } from './shell.ts'

/** The administrator's client, for as long as `work` takes. */
export async function withClient<T>(work: (client: KubeClient) => Promise<T>): Promise<T> {
  const env = { ...process.env, KUBECONFIG: paths.kubeconfig }
  // The library that reads kubeconfigs looks at the process's own environment.
  process.env['KUBECONFIG'] = paths.kubeconfig
  const client = new KubeClient(await loadConnection(env), 'wishbone-cluster')
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

export const controlPlane = ['etcd', 'kube-apiserver', 'controller-manager', 'scheduler', 'load-balancer'] as const

/** Whether the API server says that it is ready; false for every failure. */
export function isApiReady(client: KubeClient): Promise<boolean> {
  return client.request('GET', '/readyz', { timeoutMs: 2000 }).then(
    () => true,
    // The answer is the word "ok", which is no JSON.
    (cause: unknown) => cause instanceof SyntaxError,
  )
}

/** @throws ClusterError when it is not ready after 90 s, or has ended */
export async function waitForApi(client: KubeClient): Promise<void> {
  const alive = (): boolean => controlPlane.slice(0, 2).every((name) => isAlive(recordOf(name)))
  const ready = await until(async () => !alive() || (await isApiReady(client)), 90_000, 150)
  if (!ready || !alive())
    throw new ClusterError(`the API server does not come up; see etcd.log and kube-apiserver.log in ${paths.logs}`)
}

interface NodeObject {
  readonly metadata: { readonly name: string }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

interface Lease {
  readonly metadata: { readonly name: string }
  readonly spec?: { readonly renewTime?: string }
}

/**
 * Waits until the nodes are Ready and their kubelets have been heard of since `sinceMs` (Unix time), when they did not run
 * yet: what the API says of a node that crashed stays true for most of a minute, but a starting kubelet renews its lease
 * at once.
 */
export async function waitForNodes(client: KubeClient, nodes: readonly NodeSettings[], sinceMs: number): Promise<void> {
  const list = async <T>(path: string): Promise<readonly T[]> => (await client.get<{ items: readonly T[] }>(path)).items
  const ready = await until(
    async () => {
      const leases = await list<Lease>('/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases')
      const heard = leases.filter(({ spec }) => Date.parse(spec?.renewTime ?? '') >= sinceMs)
      const objects = await list<NodeObject>('/api/v1/nodes')
      const isReady = ({ status }: NodeObject): boolean =>
        status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
      return nodes.every(
        ({ name }) =>
          heard.some((lease) => lease.metadata.name === name) &&
          objects.some((object) => object.metadata.name === name && isReady(object)),
      )
    },
    120_000,
    200,
  )
  if (!ready)
    throw new ClusterError(
      `not Ready after two minutes: one of ${nodes.map(({ name }) => name).join(', ')}; see kubelet-*.log in ${paths.logs}`,
    )
}

/** Waits for one replica: the second one adds nothing but time. */
export async function waitForDns(client: KubeClient): Promise<void> {
  const path = '/apis/apps/v1/namespaces/kube-system/deployments/coredns'
  const ready = await until(
    async () => {
      const { status } = await client.get<{ status?: { readyReplicas?: number } }>(path)
      return (status?.readyReplicas ?? 0) >= 1
    },
    120_000,
    250,
  )
  if (!ready) throw new ClusterError("cluster DNS does not become ready; see 'kubectl -n kube-system describe pods'")
}
