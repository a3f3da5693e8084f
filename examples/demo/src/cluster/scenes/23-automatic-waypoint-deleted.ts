// Scene 23: a policy brings up its waypoint by itself. Whoever deletes that Gateway gains nothing: what the policy forbids is refused
// until the next one enforces it.
import { setTimeout as delay } from 'node:timers/promises'
import { type Outcome, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { conditionOf } from '../conditions.ts'
import { openShop } from '../shop.ts'

const namespace = 'e2e-deleted'

/** None of what the standard load asks for. */
const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: public-only, namespace: ${namespace} }
spec:
  targetRefs: [{ group: "", kind: Service, name: server }]
  action: ALLOW
  rules:
    - to: [{ operation: { methods: [GET], paths: [/public] } }]
`

export const automaticWaypointDeleted: Scene = {
  number: 23,
  title: 'The automatic waypoint of a policy is deleted: nothing that the policy forbids gets through',
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, namespace, policy)
    const { client } = shop
    const ask = (path: string): Promise<Outcome> =>
      cluster.toolbox(client, 'http', `http://server.${namespace}:8080${path}`, '--timeout', '5000')
    const enforced = async (): Promise<void> => {
      await until('the policy to be enforced', async () => (await ask('/private')).status === 403, 120_000)
      await until('what it allows to pass', async () => (await ask('/public')).status === 200)
    }
    await enforced()
    const uid = async () => (await cluster.get('gateways', namespace, 'wishbone-auto')).metadata.uid
    const before = await uid()
    // The Service's own status is the memory that it was guarded.
    await until('the status of the Service', async () => {
      const found = conditionOf(await cluster.get('services', namespace, 'server'), 'istio.io/WaypointBound')
      return found?.status === 'True' || Promise.reject(new Error(found?.reason ?? 'it has none'))
    })
    const [result] = await cluster.loadDuring([{ pod: client, host: 'server' }], 50, async () => {
      await delay(1_000)
      doing(`kubectl -n ${namespace} delete gateway wishbone-auto`)
      await cluster.client.request(
        'DELETE',
        `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/gateways/wishbone-auto`,
      )
      await until('another one', async () => (await uid()) !== before)
      await enforced()
    })
    const http = ['newConnections', 'keepAlive', 'http2']
    const counts = Object.entries(result?.counts ?? {}).filter(([kind]) => http.includes(kind))
    check(
      'none of the forbidden requests was answered meanwhile',
      counts.length === http.length && counts.every(([, { ok }]) => ok === 0),
      counts.map(([kind, { asked, ok }]) => `${kind}: ${ok} of ${asked} answered`).join(', '),
    )
  },
}
