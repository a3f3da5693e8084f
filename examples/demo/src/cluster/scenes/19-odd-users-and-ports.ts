// Scene 19: user 1337 and the ports around the mesh's own are the application's.
import { isReady, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { openShop } from '../shop.ts'

const namespace = 'e2e-odd'
/** The listeners of the mesh in every enrolled pod. */
const reserved = [15_001, 15_006, 15_008, 15_053]
const ports = Array.from({ length: 100 }, (_, index) => 15_000 + index).filter((port) => !reserved.includes(port))

const server = `for (const port of [${ports}]) require('node:http').createServer((request, response) => response.end(String(port))).listen(port)
process.on('SIGTERM', () => process.exit(0))`

const application = `apiVersion: v1
kind: Service
metadata: { name: odd, namespace: ${namespace} }
spec:
  selector: { app: odd }
  ports:
    - { name: http-admin, port: 15000 }
    - { name: http-metrics, port: 15020 }
    - { name: http-ready, port: 15021 }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: odd, namespace: ${namespace} }
spec:
  replicas: 1
  selector: { matchLabels: { app: odd } }
  template:
    metadata: { labels: { app: odd } }
    spec:
      securityContext: { runAsUser: 1337, runAsGroup: 1337 }
      containers:
        - name: odd
          image: wishbone/toolbox:0.1.0
          command: [node, -e, ${JSON.stringify(server)}]
          readinessProbe: { httpGet: { path: /, port: 15021 }, periodSeconds: 1 }
          livenessProbe: { tcpSocket: { port: 15020 } }
`

/** Asks every port; prints those that did not answer with their own number. */
const asking = (ip: string): string => `Promise.all([${ports}].map(async (port) => {
  const answer = await fetch('http://${ip}:' + port + '/', { signal: AbortSignal.timeout(10000) })
    .then((response) => response.text(), (error) => error.cause?.code ?? error.message)
  return answer === String(port) ? [] : [port + ': ' + answer]
})).then((wrong) => console.log(JSON.stringify(wrong.flat())))`

export const oddUsersAndPorts: Scene = {
  number: 19,
  title: `User 1337, and applications on the ${ports.length} ports from 15000 to 15099 that are not the mesh's`,
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, namespace, application)
    const { client } = shop
    const pod = await until('the pod of user 1337, by its probes on 15020 and 15021', async () =>
      (await cluster.pods(namespace, 'app=odd')).find(isReady),
    )
    const user = (await cluster.run(pod, ['node', '-p', 'process.getuid()'])).stdout.trim()
    check('its probes pass; it runs as', user === '1337', user)
    doing(`a client calls all ${ports.length} ports of it`)
    const wrong = JSON.parse(
      (await cluster.run(client, ['node', '-e', asking(pod.status?.podIP ?? '')])).stdout,
    ) as readonly string[]
    check('each answers', wrong.length === 0, wrong.length === 0 ? `${ports.length} answers` : wrong)
    const named = await Promise.all(
      [15_000, 15_020, 15_021].map((port) => cluster.toolbox(client, 'http', `http://odd.${namespace}:${port}/`)),
    )
    check(
      'through a Service, too',
      named.every(({ status }) => status === 200),
      named.map(({ status }) => status),
    )
    const out = await cluster.toolbox(pod, 'http', `http://server.${namespace}:8080/`)
    check('user 1337 calls others', out.status === 200, out.status ?? out.error)
    const lines = await until('the access log of a call to port 15000', async () => {
      for (const ztunnel of await cluster.pods('wishbone-system', 'app=ztunnel')) {
        const line = (await cluster.logs(ztunnel, undefined, 120))
          .split('\n')
          .find((text) => text.includes('connection complete') && text.includes(`${pod.status?.podIP}:15000`))
        if (line) return line
      }
      return undefined
    })
    const identity = `spiffe://cluster.local/ns/${namespace}/sa/client`
    check('and it was in the mesh: the access log names the client', lines.includes(identity), identity)
  },
}
