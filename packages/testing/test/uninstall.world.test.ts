// The mesh's end, and who is left out of it: by the marker and back, by another mesh's mark, and by the DaemonSet's deletion.
// Traffic goes on all the while; a restart of the agent is not the end.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, type Distribution, type Outcome, until } from '../src/cluster/index.ts'
import { castOf, enrolled, readyPods, startWorld, type World } from '../src/world/index.ts'

const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`
const marker = `apiVersion: v1
kind: ConfigMap
metadata: { name: wishbone-uninstall, namespace: wishbone-system }
`
const foreign = `apiVersion: v1
kind: Pod
metadata: { name: foreign, namespace: shop, labels: { app: foreign }, annotations: { linkerd.io/proxy-version: edge-25.1.1 } }
spec:
  containers: [{ name: client, image: "wishbone/toolbox:0.1.0", command: [node, src/idle.ts] }]
`

let world: World
let cluster: Cluster

beforeAll(async () => {
  world = await startWorld({ objects: castOf() })
  cluster = world.cluster
  await readyPods(cluster, 'shop', 'app=server', 2)
  await enrolled(cluster, 'shop')
})
afterAll(() => world?.[Symbol.asyncDispose]())

const client = async () => (await readyPods(cluster, 'shop', 'app=client', 2))[0]!
const isReached = async (pod: string): Promise<boolean> => {
  const [one] = await readyPods(cluster, 'shop', `app=${pod}`)
  return (await cluster.toolbox<Outcome>(one!, 'http', 'http://server:8080/', '--timeout', '2000')).status === 200
}
/** Every answer to many requests that are made meanwhile. */
const during = async (act: () => Promise<unknown>): Promise<Distribution> => {
  const asked = cluster.toolbox<Distribution>(
    await client(),
    'http',
    'http://server:8080/',
    '--count',
    '1500',
    '--timeout',
    '60000',
  )
  await act()
  return asked
}

test('a pod that another mesh has captured is left out, and told so', async () => {
  await cluster.apply(foreign)
  const [pod] = await readyPods(cluster, 'shop', 'app=foreign')
  const said = await until('the event', async () =>
    (await cluster.list('events', 'shop')).find((event) => event['reason'] === 'MeshEnrolmentRefused'),
  )
  expect(said['message']).toContain('Linkerd has captured it')
  expect(pod!.metadata.annotations?.['ambient.istio.io/redirection']).toBeUndefined()
  await cluster.apply(strict)
  await until('a refusal of plaintext', async () => !(await isReached('foreign')))
  expect(await isReached('client')).toBe(true)
  await cluster.remove(strict)
  await cluster.remove(foreign)
  await until('its end', async () => (await cluster.pods('shop', 'app=foreign')).length === 0)
})

test('the marker takes every pod out, and its end brings them back', async () => {
  const there = await during(async () => {
    await cluster.apply(marker)
    await enrolled(cluster, 'shop', false)
  })
  expect(there.statuses).toEqual({ 200: there.total })
  const back = await during(async () => {
    await cluster.remove(marker)
    await enrolled(cluster, 'shop')
  })
  expect(back.statuses).toEqual({ 200: back.total })
})

test('a restart of the agent takes nobody out', async () => {
  const [agent] = await readyPods(cluster, 'wishbone-system', 'app=wishbone-node', 2)
  await cluster.client.request('DELETE', `/api/v1/namespaces/wishbone-system/pods/${agent!.metadata.name}`)
  await until('another agent', async () => {
    const pods = await readyPods(cluster, 'wishbone-system', 'app=wishbone-node', 2)
    return pods.every(({ metadata }) => metadata.uid !== agent!.metadata.uid)
  })
  await enrolled(cluster, 'shop')
})

test('the deletion of the DaemonSet does', async () => {
  const answers = await during(async () => {
    await cluster.client.request('DELETE', '/apis/apps/v1/namespaces/wishbone-system/daemonsets/wishbone-node')
    await enrolled(cluster, 'shop', false)
    await until(
      'the end of the agents',
      async () => (await cluster.pods('wishbone-system', 'app=wishbone-node')).length === 0,
    )
  })
  expect(answers.statuses).toEqual({ 200: answers.total })
  await cluster.client.request('DELETE', '/apis/apps/v1/namespaces/wishbone-system/daemonsets/ztunnel')
  await until('the end of ztunnel', async () => (await cluster.pods('wishbone-system', 'app=ztunnel')).length === 0)
  expect(await isReached('client')).toBe(true)
})
