// Scene 17: configuration written for Istio's ambient mode works as it is: its labels, its waypoint class, its names.
import { type Outcome, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { labelService, markingRoute, openShop, throughWaypoint } from '../shop.ts'

const namespace = 'e2e-istio'
const other = 'e2e-istio-consumer'

/** As `istioctl waypoint apply` writes it. */
const waypoint = (name: string, use: string): string => `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: ${namespace}, labels: { istio.io/waypoint-for: ${use} } }
spec:
  gatewayClassName: istio-waypoint
  listeners:
    - name: mesh
      port: 15008
      protocol: HBONE
      allowedRoutes: { namespaces: { from: All } }
`

export const istioLabels: Scene = {
  number: 17,
  title: "Istio's labels and its class istio-waypoint work as they are",
  async play({ cluster, doing, check }) {
    const { spec } = (await cluster.get('gatewayclasses', undefined, 'istio-waypoint')) as unknown as {
      readonly spec: { readonly controllerName: string }
    }
    check(
      'GatewayClass istio-waypoint is here and ours',
      spec.controllerName.startsWith('wishbone.dev/'),
      spec.controllerName,
    )
    await using shop = await openShop(
      cluster,
      namespace,
      `${waypoint('waypoint', 'service')}---\n${markingRoute(namespace)}`,
    )
    await using neighbour = await openShop(cluster, other)
    const { client, server } = shop
    const direct = `http://${server.status?.podIP}:8080/`

    doing(`kubectl label namespace ${namespace} istio.io/use-waypoint=waypoint`)
    await cluster.patch('namespaces', undefined, namespace, {
      metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } },
    })
    await throughWaypoint(cluster, shop)
    check('a label on the namespace puts its Services behind the waypoint', true, 'x-through: waypoint')
    const owned = await Promise.all(
      ['deployments', 'services', 'serviceaccounts'].map((kind) => cluster.get(kind, namespace, 'waypoint')),
    )
    check(
      "its Deployment, Service and ServiceAccount have the Gateway's name, and the labels that Istio's tools look for",
      owned.every(({ metadata }) => metadata.labels?.['gateway.networking.k8s.io/gateway-name'] === 'waypoint'),
      owned.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    )
    const through = (outcome: Outcome): boolean => outcome.headers?.['x-through'] === 'waypoint'
    const byAddress = await cluster.toolbox(client, 'http', direct)
    check(
      'waypoint-for: service leaves calls to pod addresses alone',
      byAddress.status === 200 && !through(byAddress),
      byAddress.status,
    )

    doing(`kubectl -n ${namespace} label service server istio.io/use-waypoint=none`)
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': 'none' })
    await until('the Service to opt out', async () => {
      const answer = await cluster.toolbox(client, 'http', `http://server.${namespace}:8080/`)
      return answer.status === 200 && !through(answer)
    })
    check('a Service opts out with istio.io/use-waypoint: none', true, 'answered without the waypoint')
    await labelService(cluster, namespace, 'server', { 'istio.io/use-waypoint': null })

    doing(`a Service of ${other} uses the waypoint of ${namespace}: istio.io/use-waypoint-namespace`)
    await cluster.apply(markingRoute(other))
    await labelService(cluster, other, 'server', {
      'istio.io/use-waypoint': 'waypoint',
      'istio.io/use-waypoint-namespace': namespace,
    })
    await throughWaypoint(cluster, neighbour)
    const shared = await cluster.pods(other, 'gateway.networking.k8s.io/gateway-name')
    check('it needs no waypoint of its own', shared.length === 0, `${shared.length} waypoint pods in ${other}`)

    doing(`a waypoint for workloads, on a pod: istio.io/waypoint-for=workload`)
    await cluster.apply(waypoint('for-pods', 'workload'))
    await cluster.patch('pods', namespace, server.metadata.name, {
      metadata: { labels: { 'istio.io/use-waypoint': 'for-pods' } },
    })
    const proxied = await until(
      'the pod to be called through its waypoint',
      async () => {
        const { stdout } = await logsOf(cluster, namespace, 'for-pods')
        await cluster.toolbox(client, 'http', direct)
        return stdout.includes(server.status?.podIP ?? '-') && 'seen in its access log'
      },
      90_000,
    )
    const last = await cluster.toolbox(client, 'http', direct)
    check('calls to the address of that pod go through it', last.status === 200, proxied)
  },
}

async function logsOf(
  cluster: Parameters<Scene['play']>[0]['cluster'],
  namespace: string,
  gateway: string,
): Promise<{ readonly stdout: string }> {
  const pods = await cluster.pods(namespace, `gateway.networking.k8s.io/gateway-name=${gateway}`)
  const logs = await Promise.all(pods.map((pod) => cluster.logs(pod).catch(() => '')))
  return { stdout: logs.join('\n') }
}
