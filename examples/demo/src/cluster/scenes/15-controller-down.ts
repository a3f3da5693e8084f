// Scene 15: without a controller, under load: nothing fails, and what needs a new certificate waits instead of going plain.
import { setTimeout as delay } from 'node:timers/promises'
import { type Outcome, type PodObject, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { judgeLoad } from '../judge-load.ts'
import { rolledOut, system } from '../rollout.ts'
import { openShop } from '../shop.ts'

const namespace = 'e2e-down'
const controller = 'wishbone-controller'

/** A pod with an identity of which no ztunnel has a certificate yet. */
const newcomer = `apiVersion: v1
kind: ServiceAccount
metadata: { name: newcomer, namespace: ${namespace} }
---
apiVersion: v1
kind: Pod
metadata: { name: newcomer, namespace: ${namespace}, labels: { app: newcomer } }
spec:
  serviceAccountName: newcomer
  containers:
    - name: client
      image: wishbone/toolbox:0.1.0
      command: [node, src/idle.ts]
      # As the load's own pods have it, beside which it would get nothing.
      resources: { requests: { cpu: 25m } }
`

export const controllerAway: Scene = {
  number: 15,
  title: 'All controllers away under load: nothing fails, nothing goes plain',
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, namespace)
    const { spec } = (await cluster.get('deployments', system, controller)) as unknown as { spec: { replicas: number } }
    const replicas = Math.max(spec.replicas, 1)
    const scale = async (count: number): Promise<void> => {
      doing(`kubectl -n ${system} scale deployment ${controller} --replicas=${count}`)
      await cluster.patch('deployments', system, controller, { spec: { replicas: count } })
    }
    let back = false
    await using _back = {
      [Symbol.asyncDispose]: async () => {
        if (back) return
        await scale(replicas)
        await rolledOut(cluster, 'deployments', system, controller)
      },
    }
    doing('load from both nodes, with a WebSocket and a gRPC stream each')
    const targets = shop.clients.map((pod) => ({ pod, host: 'server' }))
    const results = await cluster.loadDuring(targets, 25, async () => {
      await delay(3_000)
      await scale(0)
      await until(
        'the controllers to be gone',
        async () => (await cluster.pods(system, `app=${controller}`)).length === 0,
      )
      doing('a pod with a new identity is made while nobody can give it a certificate')
      await cluster.apply(newcomer)
      await delay(8_000)
      const pod = (await cluster.get('pods', namespace, 'newcomer')) as PodObject
      const running = pod.status?.phase === 'Running'
      const ask = (): Promise<Outcome> =>
        cluster.toolbox(pod, 'http', `http://server.${namespace}:8080/`, '--timeout', '3000')
      const early = running ? await ask() : undefined
      check(
        'it is not served, and not in plain text',
        early?.status !== 200,
        early ? (early.status ?? early.error) : 'it waits for its start',
      )
      await scale(replicas)
      await rolledOut(cluster, 'deployments', system, controller)
      back = true
      // The kubelet's next try may be 40 s away: 25 s of a sandbox that waits, and 15 s until the next.
      await until(
        'the new pod to start',
        async () => {
          const { status } = (await cluster.get('pods', namespace, 'newcomer')) as PodObject
          return status?.phase === 'Running' || Promise.reject(new Error(JSON.stringify(status?.containerStatuses)))
        },
        120_000,
      )
      await until('the new pod to be served', async () => {
        const answer = await ask()
        return answer.status === 200 || Promise.reject(new Error(String(answer.error ?? answer.status)))
      })
      await delay(3_000)
    })
    judgeLoad(check, results)
  },
}
