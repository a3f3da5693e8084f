// What a run that was killed left in the cluster: the next run must not find it.
import { setTimeout as delay } from 'node:timers/promises'
import { deleteObject, type KubeClient, listObjects } from '@wishbone/cli'

// Every Namespace and GatewayClass in the manifests of the suite; no pattern that a user's own could match.
const namespaces =
  /^gateway-(conformance-(infra|app-backend|web-backend|mesh|mesh-consumer)|api-(ls-cross-ns|listener-sets-test-reference-grant-ns|(routes|listenerset|listenerset-selector)-(not-)?allowed-ns))$/
const classes = /^gatewayclass-observed-generation-bump$/
// Kubernetes looks again after half of the longest grace period of the pods in it.
const limitMs = 240_000

/** Deletes the suite's Namespaces and GatewayClasses and waits until they are gone. */
export async function removeRemains(client: KubeClient, say: (line: string) => void): Promise<void> {
  const found = async (kind: string, name: RegExp) => {
    const known = await client.kinds()
    const wanted = known.find(({ plural }) => plural === kind)
    const objects = wanted ? await listObjects(client, wanted, undefined) : []
    return objects.filter(({ metadata }) => name.test(metadata.name))
  }
  const remains = [...(await found('namespaces', namespaces)), ...(await found('gatewayclasses', classes))]
  if (remains.length === 0) return
  say(`removing what an earlier run left: ${remains.map(({ metadata }) => metadata.name).join(', ')}`)
  for (const object of remains) await deleteObject(client, object)
  const end = Date.now() + limitMs
  for (;;) {
    const [left] = await found('namespaces', namespaces)
    if (!left) return
    if (Date.now() > end)
      throw new Error(`Namespace ${left.metadata.name} is not gone after ${limitMs / 1000} s; see its conditions`)
    await delay(500)
  }
}
