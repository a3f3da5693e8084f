// Scene 14: where a Service has an L7 policy on its waypoint, there is no way around the waypoint to its pods.
import { isReady, type Outcome, type PodObject, until } from '@wishbone/testing/cluster'
import { waypointOf } from '@wishbone/testing/world'
import { onePod } from '../../cast.ts'
import type { Scene } from '../../scene.ts'
import { labelService, markingRoute, openShop, throughWaypoint } from '../shop.ts'

const namespace = 'e2e-around'

const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: public-only, namespace: ${namespace} }
spec:
  targetRefs: [{ group: "", kind: Service, name: server }]
  action: ALLOW
  rules:
    - to: [{ operation: { methods: [GET], paths: [/public] } }]
`

/** The same pods under another name, without a waypoint. */
const backDoor = `apiVersion: v1
kind: Service
metadata: { name: back-door, namespace: ${namespace}, labels: { istio.io/use-waypoint: none } }
spec:
  selector: { app: server }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`

/** On the node's network, and not root: the node's root is the kubelet, whose probes must pass. */
const onNodes = `apiVersion: apps/v1
kind: DaemonSet
metadata: { name: on-node, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: on-node } }
  template:
    metadata: { labels: { app: on-node } }
    spec:
      hostNetwork: true
      securityContext: { runAsUser: 1000 }
      containers:
        - { name: client, image: wishbone/toolbox:0.1.0, command: [node, src/idle.ts] }
`

const seen = (outcome: Outcome): unknown => outcome.status ?? outcome.error

export const noWayAround: Scene = {
  number: 14,
  title: 'A Service with an L7 policy cannot be reached around its waypoint',
  async play({ cluster, doing, check }) {
    const more = `${waypointOf(namespace)}---\n${markingRoute(namespace)}---\n${backDoor}---\n${onNodes}`
    await using shop = await openShop(cluster, namespace, more)
    const { client, server } = shop
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'waypoint' })
    await throughWaypoint(cluster, shop)
    const stranger = await onePod(cluster, 'outside', 'app=client')
    const onNode = await until('a pod on the network of the same node', async () =>
      (await cluster.pods(namespace, 'app=on-node')).find(
        (pod) => isReady(pod) && pod.spec.nodeName === server.spec.nodeName,
      ),
    )
    const ask = (pod: PodObject, url: string): Promise<Outcome> =>
      cluster.toolbox(pod, 'http', url, '--timeout', '5000')
    const direct = `http://${server.status?.podIP}:8080/public`
    const ways: readonly (readonly [what: string, from: PodObject, url: string])[] = [
      ['by the address of a pod', client, direct],
      ['through another Service of the same pods', client, `http://back-door.${namespace}/public`],
      ['from outside the mesh', stranger, direct],
      ["from the server's node", onNode, direct],
    ]
    for (const [what, from, url] of ways) {
      const before = await ask(from, url)
      check(`without a policy the application answers ${what}`, before.status === 200, seen(before))
    }

    doing(`kubectl apply -f - <<< an AuthorizationPolicy on Service server that allows GET /public only`)
    await cluster.apply(policy)
    const at = (path: string): Promise<Outcome> => ask(client, `http://server.${namespace}:8080${path}`)
    const refused = await until('the policy to be in force', async () => {
      const answer = await at('/private')
      return answer.status !== 200 && answer
    })
    check('GET /private is forbidden', refused.status === 403, seen(refused))
    const allowed = await at('/public')
    check(
      'GET /public passes, through the waypoint',
      allowed.status === 200 && allowed.headers?.['x-through'] === 'waypoint',
      seen(allowed),
    )
    for (const [what, from, url] of ways) {
      const answer = await until(`a refusal ${what}`, async () => {
        const last = await ask(from, url)
        return last.status !== 200 && last
      }).catch(() => ({ ms: 0, status: 200 }) as Outcome)
      check(`it refuses ${what}`, answer.status !== 200, seen(answer))
    }
    const pod = await cluster.get('pods', namespace, server.metadata.name)
    const ready = (pod as PodObject).status?.conditions?.find(({ type }) => type === 'Ready')?.status
    check("the kubelet's probes of the same port still pass", ready === 'True', `Ready=${ready}`)
    await cluster.remove(policy)
    await until('the pod to answer directly again', async () => (await ask(client, direct)).status === 200)
  },
}
