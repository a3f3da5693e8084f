// Changes to the mesh's own programs, made as an operator makes them, and waited for.
import { type Cluster, until } from '@wishbone/testing/cluster'

interface Rolled {
  readonly metadata: { readonly generation?: number }
  readonly spec: {
    readonly replicas?: number
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly name: string
          readonly env?: readonly { readonly name: string; readonly value?: string }[]
        }[]
      }
    }
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly desiredNumberScheduled?: number
    readonly updatedNumberScheduled?: number
    readonly numberAvailable?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
  }
}

export const system = 'wishbone-system'

/** Waits until every pod of the DaemonSet or Deployment is of its newest template and available. */
export async function rolledOut(
  cluster: Cluster,
  kind: 'daemonsets' | 'deployments',
  namespace: string,
  name: string,
): Promise<void> {
  await until(
    `${kind} ${namespace}/${name} to be rolled out`,
    async () => {
      const { metadata, spec, status = {} } = (await cluster.get(kind, namespace, name)) as unknown as Rolled
      if ((status.observedGeneration ?? 0) < (metadata.generation ?? 1)) return false
      const [wanted, updated, available] =
        kind === 'daemonsets'
          ? [status.desiredNumberScheduled, status.updatedNumberScheduled, status.numberAvailable]
          : [spec.replicas ?? 1, status.updatedReplicas, status.availableReplicas]
      return wanted !== undefined && (updated ?? 0) === wanted && (available ?? 0) === wanted
    },
    180_000,
  )
}

async function setEnvironment(cluster: Cluster, name: string, variable: string, value: string | undefined) {
  const set = (await cluster.get('daemonsets', system, name)) as unknown as Rolled
  const [container] = set.spec.template.spec.containers
  const before = container?.env?.find((entry) => entry.name === variable)?.value
  const entry = value === undefined ? { name: variable, $patch: 'delete' } : { name: variable, value }
  await cluster.client.request(
    'PATCH',
    `/apis/apps/v1/namespaces/${system}/daemonsets/${name}`,
    { spec: { template: { spec: { containers: [{ name: container?.name, env: [entry] }] } } } },
    'application/strategic-merge-patch+json',
  )
  await rolledOut(cluster, 'daemonsets', system, name)
  return before
}

/** Gives ztunnel a variable until disposed of; it is rolled out both times. */
export async function withZtunnelVariable(cluster: Cluster, variable: string, value: string): Promise<AsyncDisposable> {
  const before = await setEnvironment(cluster, 'ztunnel', variable, value)
  return {
    async [Symbol.asyncDispose]() {
      await setEnvironment(cluster, 'ztunnel', variable, before)
    },
  }
}
