// Namespaces that scenes make and remove.
import { type Cluster, isLeaving, until } from '@wishbone/testing/cluster'

/** Removes a namespace with everything in it; pods get a second to end, since nobody needs their connections. */
export async function removeNamespace(cluster: Cluster, name: string): Promise<void> {
  if (!(await cluster.list('namespaces')).some((namespace) => namespace.metadata.name === name)) return
  await cluster.client.request('DELETE', `/api/v1/namespaces/${name}`)
  await cluster.client.request('DELETE', `/api/v1/namespaces/${name}/pods?gracePeriodSeconds=1`)
}

export async function namespaceGone(cluster: Cluster, name: string): Promise<void> {
  await until(
    `namespace ${name} to be gone`,
    async () => !(await cluster.list('namespaces')).some((namespace) => namespace.metadata.name === name),
    180_000,
  )
}

/** Applies `yaml`, which makes the namespace, after what an earlier run left is gone; removes it again when disposed of. */
export async function stageNamespace(cluster: Cluster, name: string, yaml: string): Promise<AsyncDisposable> {
  const left = (await cluster.list('namespaces')).find((namespace) => namespace.metadata.name === name)
  if (left) {
    if (!isLeaving(left)) await removeNamespace(cluster, name)
    await namespaceGone(cluster, name)
  }
  await cluster.apply(yaml)
  return { [Symbol.asyncDispose]: () => removeNamespace(cluster, name) }
}
