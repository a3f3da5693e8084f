// Scene 22: a node loses power and comes back. Its pods start anew, in namespaces without a rule; none of them is ever reached in
// plain text where mTLS is demanded, so none has run outside the mesh.
import { setTimeout as delay } from 'node:timers/promises'
import { isReady, type Outcome, until } from '@wishbone/testing/cluster'
import { allEnrolled, onePod } from '../../cast.ts'
import type { Scene } from '../../scene.ts'
import { rolledOut, system } from '../rollout.ts'
import { openShop } from '../shop.ts'

const namespace = 'e2e-crash'

const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: ${namespace} }
spec: { mtls: { mode: STRICT } }
`

export const nodeCrash: Scene = {
  number: 22,
  title: 'A node loses power and comes back: none of its pods runs outside the mesh',
  async play({ cluster, doing, check, notApplicable, crashNode }) {
    if (!crashNode) return notApplicable('a crash', 'only nodes of npm run cluster:up can be crashed')
    await using shop = await openShop(cluster, namespace, strict)
    const stranger = await onePod(cluster, 'outside', 'app=client')
    const url = `http://server.${namespace}:8080/`
    const plain = (): Promise<Outcome> => cluster.toolbox(stranger, 'http', url, '--timeout', '1000')
    await until('plain text to be refused', async () => (await plain()).status === undefined)
    const node = shop.clients.map((pod) => pod.spec.nodeName).find((name) => name !== stranger.spec.nodeName)
    const client = shop.clients.find((pod) => pod.spec.nodeName !== node)
    if (!node || !client) throw new Error(`the pods of ${namespace} are not on two nodes`)

    const crashed = Date.now()
    const watched = [{ pod: stranger, host: `server.${namespace}` }]
    const [seen] = await cluster.loadDuring(watched, 25, async () => {
      doing(`node ${node} loses power`)
      await using power = await crashNode(node)
      await delay(3_000)
      doing(`node ${node} is switched on`)
      await power[Symbol.asyncDispose]()
      await until(
        `every pod of ${node} to have started again`,
        async () => {
          const pods = (await cluster.pods(namespace, '')).filter((pod) => pod.spec.nodeName === node)
          return pods.every(
            (pod) => isReady(pod) && pod.status?.containerStatuses?.every(({ restartCount }) => restartCount > 0),
          )
        },
        180_000,
      )
      await rolledOut(cluster, 'daemonsets', system, 'ztunnel')
      await rolledOut(cluster, 'daemonsets', system, 'wishbone-node')
      await allEnrolled(cluster, true, namespace)
    })
    const seconds = ((Date.now() - crashed) / 1000).toFixed(1)
    const calls = Object.entries(seen?.counts ?? {}).filter(([kind]) => kind !== 'dns')
    const asked = calls.reduce((sum, [, count]) => sum + count.asked, 0)
    check(
      `in these ${seconds} s nobody was answered in plain text`,
      calls.every(([, count]) => count.ok === 0),
      `${asked} connections and requests, ${calls.map(([kind, { ok }]) => `${kind}: ${ok} answered`).join(', ')}`,
    )
    const server = (await cluster.pods(namespace, 'app=server')).find((pod) => pod.spec.nodeName === node)
    const answer = await until('the server of that node to answer in the mesh', async () => {
      const one = await cluster.toolbox(client, 'http', `http://${server?.status?.podIP}:8080/`)
      return one.status === 200 ? one : Promise.reject(new Error(String(one.status ?? one.error)))
    })
    check('its server answers a client of the mesh on the other node', answer.status === 200, answer.status)
    const neighbour = (await cluster.pods(namespace, 'app=client')).find((pod) => pod.spec.nodeName === node)
    if (!neighbour) throw new Error(`${namespace} has no client on ${node}`)
    const call = await cluster.toolbox(neighbour, 'http', url)
    check('a client of that node is answered, with its identity', call.status === 200, call.status ?? call.error)
  },
}
