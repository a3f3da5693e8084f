// Scene 21: every program of the mesh is replaced by an earlier build and back, one after the other, under load. On the way every two
// programs work together once with one build between them, in both directions.
import { type Cluster, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { judgeLoad } from '../judge-load.ts'
import { containerOf, roll, rolledOut, system } from '../rollout.ts'
import { labelService, markingRoute, openShop, throughWaypoint } from '../shop.ts'

const namespace = 'e2e-replaced'
const controller = 'wishbone-controller'

/** A waypoint, and a second Service of the same pods that has none. */
const more = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: ${namespace} }
spec:
  gatewayClassName: wishbone-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
---
apiVersion: v1
kind: Service
metadata: { name: direct, namespace: ${namespace} }
spec:
  selector: { app: server }
  ports:
    - { name: http, port: 8080 }
    - { name: http2, port: 8081, appProtocol: kubernetes.io/h2c }
    - { name: tcp-echo, port: 9000 }
    - { name: grpc, port: 9002, appProtocol: kubernetes.io/h2c }
---
${markingRoute(namespace)}`

interface Step {
  readonly what: string
  to(cluster: Cluster, image: string): Promise<void>
}

/** In the order of an upgrade (deploy/README.md). */
const steps: readonly Step[] = [
  { what: 'the controller', to: (cluster, image) => roll(cluster, 'deployments', controller, { image }) },
  { what: 'ztunnel', to: (cluster, image) => roll(cluster, 'daemonsets', 'ztunnel', { image }) },
  { what: 'the node agent', to: (cluster, image) => roll(cluster, 'daemonsets', 'wishbone-node', { image }) },
  { what: 'waypoints', to: replaceWaypoints },
]

async function replaceWaypoints(cluster: Cluster, image: string): Promise<void> {
  await roll(cluster, 'deployments', controller, { env: [{ name: 'PROXY_IMAGE', value: image }] })
  await until(
    `the waypoint to be of ${image}`,
    async () => (await containerOf(cluster, 'deployments', namespace, 'waypoint')).image === image,
  )
  await rolledOut(cluster, 'deployments', namespace, 'waypoint')
}

export const everyProgramReplaced: Scene = {
  number: 21,
  title: 'Every program is replaced under load, to an earlier build and back: nothing fails',
  async play({ cluster, doing, check, notApplicable, earlierImage }) {
    const { image: present } = await containerOf(cluster, 'deployments', system, controller)
    if (!present) throw new Error(`deployment ${controller} names no image`)
    const earlier = earlierImage ?? present
    if (earlier === present)
      notApplicable('two builds', `--earlier names no other image, so ${present} is replaced by itself`)
    await using shop = await openShop(cluster, namespace, more)
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'waypoint' })
    await throughWaypoint(cluster, shop)
    const [through, direct] = shop.clients
    if (!through || !direct) throw new Error(`${namespace} has less than two clients`)
    const replaced: Step[] = []
    await using _back = {
      // Waypoints included: nobody wants a mesh of two builds after a scene that differed.
      [Symbol.asyncDispose]: async () => {
        // One that is late keeps none of the others.
        const failed: unknown[] = []
        for (const step of replaced) await step.to(cluster, present).catch((cause: unknown) => failed.push(cause))
        if (failed.length > 0) throw failed[0]
      },
    }
    doing('load from both nodes, through the waypoint and past it, with a WebSocket and a gRPC stream each')
    const results = await cluster.loadDuring(
      [
        { pod: through, host: 'server' },
        { pod: direct, host: 'direct' },
      ],
      25,
      async () => {
        for (const step of steps) {
          doing(`${step.what} to ${earlier}`)
          replaced.push(step)
          await step.to(cluster, earlier)
        }
        for (const step of steps) {
          doing(`${step.what} to ${present}`)
          await step.to(cluster, present)
          replaced.shift()
        }
      },
    )
    judgeLoad(check, results)
  },
}
