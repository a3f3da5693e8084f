// Changes to the mesh's own programs, made as an operator makes them, and waited for.
import { type Cluster, isReady, until } from '@wishbone/testing/cluster'

interface Container {
  readonly name: string
  readonly image?: string
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
}

interface Rolled {
  readonly metadata: { readonly generation?: number; readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: {
    readonly replicas?: number
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> }
    readonly template: {
      readonly spec: {
        readonly containers: readonly Container[]
      }
    }
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly desiredNumberScheduled?: number
    readonly replicas?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
  }
}

export const system = 'wishbone-system'

/**
 * Waits until every pod of the newest template is available. Pods of an older one that still drain are not waited for; a DaemonSet's
 * status is about these as long as there is one on the node, so its pods are looked at themselves.
 */
export async function rolledOut(
  cluster: Cluster,
  kind: 'daemonsets' | 'deployments',
  namespace: string,
  name: string,
): Promise<void> {
  await until(
    `${kind} ${namespace}/${name} to be rolled out`,
    async () => {
      const workload = (await cluster.get(kind, namespace, name)) as unknown as Rolled
      const { metadata, spec, status = {} } = workload
      if ((status.observedGeneration ?? 0) < (metadata.generation ?? 1)) return false
      if (kind === 'daemonsets') {
        const wanted = status.desiredNumberScheduled
        return wanted !== undefined && (await newestReady(cluster, namespace, workload)) === wanted
      }
      const wanted = spec.replicas ?? 1
      // As `kubectl rollout status`: where an older pod is counted, it may be the one that is available.
      const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status
      return replicas === wanted && updatedReplicas === wanted && availableReplicas === wanted
    },
    180_000,
  )
}

/** How many nodes have a ready pod of the DaemonSet's newest template. */
async function newestReady(cluster: Cluster, namespace: string, { metadata, spec }: Rolled): Promise<number> {
  const selector = Object.entries(spec.selector.matchLabels).map((pair) => pair.join('='))
  const generation = metadata.annotations?.['deprecated.daemonset.template.generation']
  const pods = await cluster.pods(namespace, selector.join(','))
  return pods.filter((pod) => isReady(pod) && pod.metadata.labels?.['pod-template-generation'] === generation).length
}

/** The first container of the workload's pods. */
export async function containerOf(
  cluster: Cluster,
  kind: 'daemonsets' | 'deployments',
  namespace: string,
  name: string,
): Promise<Container> {
  const { spec } = (await cluster.get(kind, namespace, name)) as unknown as Rolled
  const [container] = spec.template.spec.containers
  if (!container) throw new Error(`${kind} ${namespace}/${name} has no container`)
  return container
}

/** Changes the first container of the pods of a workload of the mesh, restarts them also where that changes nothing, and waits. */
export async function roll(
  cluster: Cluster,
  kind: 'daemonsets' | 'deployments',
  name: string,
  change: { readonly image?: string; readonly env?: readonly object[] },
): Promise<void> {
  const { name: container } = await containerOf(cluster, kind, system, name)
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() }
  await cluster.client.request('PATCH', `/apis/apps/v1/namespaces/${system}/${kind}/${name}`, {
    body: { spec: { template: { metadata: { annotations }, spec: { containers: [{ name: container, ...change }] } } } },
    patch: 'strategic',
  })
  await rolledOut(cluster, kind, system, name)
}

/** Gives ztunnel a variable until disposed of; it is rolled out both times. */
export async function withZtunnelVariable(cluster: Cluster, variable: string, value: string): Promise<AsyncDisposable> {
  const { env } = await containerOf(cluster, 'daemonsets', system, 'ztunnel')
  const before = env?.find((entry) => entry.name === variable)?.value
  const set = (to: string | undefined): Promise<void> => {
    const entry = to === undefined ? { name: variable, $patch: 'delete' } : { name: variable, value: to }
    return roll(cluster, 'daemonsets', 'ztunnel', { env: [entry] })
  }
  await using undo = new AsyncDisposableStack()
  // Also when the first roll-out is not through in time: the scenes after this one are not to have the variable.
  undo.defer(() => set(before))
  await set(value)
  return undo.move()
}
