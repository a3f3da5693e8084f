// Scene 13: a waypoint that is missing, or has crashed, refuses: nothing goes past it.
import { type Distribution, type Outcome, until } from '@wishbone/testing/cluster'
import { waypointOf } from '@wishbone/testing/world'
import type { Scene } from '../../scene.ts'
import { conditionOf } from '../conditions.ts'
import { labelService, markingRoute, openShop, throughWaypoint } from '../shop.ts'

const namespace = 'e2e-lost'

/** No pod can be made while it is there; those that run are left alone. */
const noNewPods = `apiVersion: v1
kind: ResourceQuota
metadata: { name: no-new-pods, namespace: ${namespace} }
spec: { hard: { pods: "0" } }
`

export const waypointLost: Scene = {
  number: 13,
  title: 'A waypoint that is missing or has crashed lets nothing past it',
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, namespace, `${waypointOf(namespace)}---\n${markingRoute(namespace)}`)
    const { client } = shop
    const url = `http://server.${namespace}:8080/`
    const ask = (): Promise<Outcome> => cluster.toolbox(client, 'http', url, '--timeout', '5000')
    const askOften = (): Promise<Distribution> =>
      cluster.toolbox<Distribution>(client, 'http', url, '--count', '40', '--timeout', '5000')
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'waypoint' })
    await throughWaypoint(cluster, shop)

    doing(`kubectl -n ${namespace} label service server istio.io/use-waypoint=nobody --overwrite`)
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'nobody' })
    await until('a refusal', async () => (await ask()).status === undefined)
    const missing = await askOften()
    check(
      'with a waypoint that does not exist none of 40 requests is answered',
      !missing.statuses['200'],
      missing.statuses,
    )
    const told = await until('the status of the Service', async () => {
      const found = conditionOf(await cluster.get('services', namespace, 'server'), 'istio.io/WaypointBound')
      return found?.status === 'False' && found
    })
    check('the Service says so', told.reason === 'WaypointMissing', `${told.reason}: ${told.message}`)
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'waypoint' })
    await throughWaypoint(cluster, shop)

    doing('the waypoint is killed, and a ResourceQuota keeps it from coming back')
    await cluster.apply(noNewPods)
    const selector = 'gateway.networking.k8s.io/gateway-name=waypoint'
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(selector)}&gracePeriodSeconds=0`
    // More than once: a new quota does not bind at once, and one pod may slip in.
    await until('its pods to be gone', async () => {
      await cluster.client.request('DELETE', path)
      return (await cluster.pods(namespace, selector)).length === 0
    })
    await until('a refusal', async () => (await ask()).status !== 200)
    const crashed = await askOften()
    check('without it none of 40 requests is answered by the application', !crashed.statuses['200'], crashed.statuses)
    doing('the quota goes, the waypoint returns')
    await cluster.remove(noNewPods)
    // Kubernetes tries again after a pause that has doubled with each refusal, and at once when the ReplicaSet changes.
    await until('its pods to be made again', async () => {
      const metadata = { annotations: { 'e2e.wishbone.dev/asked-at': new Date().toISOString() } }
      for (const replicaSet of await cluster.list('replicasets', namespace, selector))
        await cluster.patch('replicasets', namespace, replicaSet.metadata.name, { metadata })
      return (await cluster.pods(namespace, selector)).length > 0
    })
    await throughWaypoint(cluster, shop)
    const again = await askOften()
    check('then all 40 are answered', again.statuses['200'] === 40, again.statuses)
  },
}
