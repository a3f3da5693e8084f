// Questions that worlds ask of the mesh, answered from its access logs and metrics.
import { type Cluster, isReady, type PodObject, until } from '../cluster/index.ts'

export function readyPods(
  cluster: Cluster,
  namespace: string,
  selector: string,
  count = 1,
): Promise<readonly PodObject[]> {
  return until(`${count} ready pods ${selector} in ${namespace}`, async () => {
    const pods = (await cluster.pods(namespace, selector)).filter(isReady)
    return pods.length >= count ? pods : undefined
  })
}

/** Waits until every running pod of the namespace, or those of the selector, has (or has not) the enrolment annotation. */
export async function enrolled(cluster: Cluster, namespace: string, wanted = true, selector = ''): Promise<void> {
  await until(`all pods of ${namespace} ${wanted ? 'in' : 'out of'} the mesh`, async () => {
    const pods = (await cluster.pods(namespace, selector)).filter((pod) => pod.status?.phase === 'Running')
    const isIn = (pod: PodObject): boolean => pod.metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled'
    return pods.length > 0 && pods.every((pod) => isIn(pod) === wanted)
  })
}

/** The first line of some ztunnel's log for which `wanted` holds. */
export function accessLogLine(cluster: Cluster, wanted: (line: string) => boolean): Promise<string> {
  return until('a line in the access log of a ztunnel', async () => {
    for (const pod of await cluster.pods('wishbone-system', 'app=ztunnel')) {
      const line = (await cluster.logs(pod, undefined, 60)).split('\n').find(wanted)
      if (line) return line
    }
    return undefined
  })
}

/** The text of a program's metrics, from inside its pod. */
export async function metricsOf(cluster: Cluster, pod: PodObject, port = 15020): Promise<string> {
  const script = `fetch('http://localhost:${port}/metrics').then(async (r) => console.log(await r.text()))`
  return (await cluster.run(pod, ['node', '-e', script])).stdout
}
