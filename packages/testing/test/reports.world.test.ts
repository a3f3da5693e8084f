// One world, what the mesh tells and how it acts on changes while something runs: spans, ztunnel's dump, streams that a new
// policy ends, refusals that repeat.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { logged } from '../src/attack/index.ts'
import { type Cluster, type Outcome, type PodObject, until } from '../src/cluster/index.ts'
import { misfits, type PlaysServer, play, playImages, type Received, type StreamOutcome } from '../src/play/index.ts'
import { enrolled, readyPods, startWorld, type World, waypointOf, withEnvironment } from '../src/world/index.ts'

const objects = `apiVersion: v1
kind: Namespace
metadata: { name: observe }
---
apiVersion: v1
kind: Pod
metadata: { name: collector, namespace: observe, labels: { app: collector } }
spec:
  containers:
    - { name: collector, image: play/collector:1, readinessProbe: { tcpSocket: { port: 4318 }, periodSeconds: 1 } }
---
apiVersion: v1
kind: Service
metadata: { name: collector, namespace: observe }
spec: { selector: { app: collector }, ports: [{ name: http, port: 4318 }] }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: client, namespace: shop }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: shop, labels: { app: client } }
spec:
  serviceAccountName: client
  containers: [{ name: client, image: wishbone/toolbox:0.1.0, command: [sleep, infinity] }]
---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: shop, labels: { app: server } }
spec:
  containers:
    - name: server
      image: play/server:1
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }
spec:
  selector: { app: server }
  ports:
    - { name: http, port: 8080 }
    - { name: http2, port: 8081, appProtocol: kubernetes.io/h2c }
`

let world: World
let cluster: Cluster
let client: PodObject
let waypoint: PodObject

beforeAll(async () => {
  const manifests = withEnvironment(mkdtempSync(join(tmpdir(), 'wishbone-reports-')), 'wishbone-controller', {
    PROXY_ENV_OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.observe.svc.cluster.local:4318',
    PROXY_ENV_OTEL_BSP_SCHEDULE_DELAY: '200',
  })
  world = await startWorld({ objects, images: playImages, systemManifests: manifests })
  cluster = world.cluster
  await enrolled(cluster, 'shop')
  await cluster.apply(waypointOf())
  client = (await readyPods(cluster, 'shop', 'app=client'))[0]!
  await readyPods(cluster, 'shop', 'app=server')
  await readyPods(cluster, 'observe', 'app=collector')
  waypoint = (await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint'))[0]!
})
afterAll(() => world?.[Symbol.asyncDispose]())

const get = (path: string, ...words: string[]): Promise<Outcome> =>
  cluster.toolbox(client, 'http', `http://server:8080${path}`, ...words)

/** What a script prints in a pod. */
async function says(pod: PodObject, script: string): Promise<string> {
  return (await cluster.run(pod, ['node', '-e', script])).stdout
}

describe('spans', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const parentId = 'b7ad6b7169203331'
  const traced = (path: string, flags = '01'): Promise<Outcome> =>
    get(path, '--header', `traceparent: 00-${traceId}-${parentId}-${flags}`)
  const collected = async (): Promise<readonly Received[]> => {
    const [pod] = await readyPods(cluster, 'observe', 'app=collector')
    return JSON.parse(
      await says(pod!, `fetch('http://localhost:4318').then(async (r) => console.log(await r.text()))`),
    ) as Received[]
  }
  const spanOf = (path: string): Promise<Received> =>
    until(`a span of ${path}`, async () =>
      (await collected()).find(({ attributes }) => attributes['url.path'] === path),
    )

  test('a request is a span of the waypoint between those of the client and of the server', async () => {
    const answer = await until('a traced answer', async () => {
      const outcome = await traced('/traced?q=1')
      return outcome.status === 200 && outcome.body?.includes('traceparent') ? outcome : undefined
    })
    const { headers } = JSON.parse(answer.body!) as PlaysServer
    const span = await spanOf('/traced')
    expect(span).toMatchObject({
      traceId,
      parentSpanId: parentId,
      kind: 2,
      resource: { 'service.name': 'waypoint.shop', 'k8s.pod.name': waypoint.metadata.name },
      attributes: {
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'url.scheme': 'http',
        'url.path': '/traced',
        'url.query': 'q=1',
        'server.address': 'server',
        'server.port': 8080,
        'network.protocol.version': '1.1',
        'client.address': client.status!.podIP,
        'wishbone.destination.service': 'server.shop.svc.cluster.local',
        'wishbone.upstream.workload': 'server',
      },
    })
    expect(span.status.code ?? 0).toBe(0)
    expect(span.attributes['wishbone.upstream.address']).toMatch(/^10\.244\.\d+\.\d+:8080$/)
    const spans = (await collected()).filter((one) => one.traceId === traceId)
    const parentOfServer = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(headers['traceparent']!)
    expect(parentOfServer?.[1]).toBe(traceId)
    expect(spans.map(({ spanId }) => spanId)).toContain(parentOfServer?.[2])
  })

  test('an error of the server is marked, one of the client is not', async () => {
    await traced('/status/503')
    await traced('/status/404')
    expect(await spanOf('/status/503')).toMatchObject({
      status: { code: 2 },
      attributes: { 'http.response.status_code': 503, 'error.type': '503' },
    })
    const missing = await spanOf('/status/404')
    expect(missing.attributes['http.response.status_code']).toBe(404)
    expect(missing.attributes).not.toHaveProperty('error.type')
    expect(missing.status.code ?? 0).toBe(0)
  })

  test('what the client does not sample is not sent, and said so to the server; a request without a trace begins one', async () => {
    const unsampled = JSON.parse((await traced('/unsampled', '00')).body!) as PlaysServer
    expect(unsampled.headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
    await get('/begins')
    const begun = await spanOf('/begins')
    expect(begun.traceId).not.toBe(traceId)
    expect(begun.parentSpanId ?? '').toBe('')
    expect((await collected()).some(({ attributes }) => attributes['url.path'] === '/unsampled')).toBe(false)
  })
})

describe('policies and what runs', () => {
  const policyFor = (account: string): string => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: live, namespace: shop }
spec:
  selector: { matchLabels: { app: server } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/${account}] } }]
`
  const onWaypoint = (account: string): string =>
    policyFor(account).replace(
      '  selector: { matchLabels: { app: server } }',
      '  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: waypoint }]',
    )

  test.each([
    { title: 'HTTP/1.1 by a policy of the server', version: '1', port: 8080, policyOf: policyFor },
    { title: 'HTTP/2 by a policy of the server', version: '2', port: 8081, policyOf: policyFor },
    { title: 'HTTP/2 by a policy of the waypoint', version: '2', port: 8081, policyOf: onWaypoint },
  ])('a stream ends with the policy that let it through: $title', async ({ version, port, policyOf }) => {
    await cluster.apply(policyOf('client'))
    const url = `http://server:${port}/stream`
    await until('an answer', async () => (await get('/before')).status === 200)
    const running = play<StreamOutcome>(cluster, client, 'stream', version, url, '20')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    await cluster.apply(policyOf('nobody'))
    const { status, ticks, end, ms } = await running
    expect(status).toBe(200)
    expect(ticks).toBeGreaterThan(3)
    expect(end).not.toBe('open')
    expect(ms).toBeLessThan(10_000)
    await logged(cluster, [waypoint], '/stream', 'denied')
    await cluster.remove(policyOf('nobody'))
    await until('an answer', async () => (await get('/after')).status === 200)
  })

  test('a stream goes on over changes that leave it allowed', async () => {
    await cluster.apply(policyFor('client'))
    await until('an answer', async () => (await get('/before')).status === 200)
    const running = play<StreamOutcome>(cluster, client, 'stream', '2', 'http://server:8081/stream', '3')
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await cluster.remove(policyFor('client'))
    expect(await running).toMatchObject({ status: 200, end: 'open' })
  })
})

test('refusals that repeat are told once, and then with their count', async () => {
  await cluster.apply(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: shop }
spec: { selector: { matchLabels: { app: server } }, action: DENY, rules: [{ from: [{ source: { namespaces: [shop] } }] }] }
`)
  const ip = (await readyPods(cluster, 'shop', 'app=server'))[0]!.status!.podIP!
  const direct = `http://${ip}:8080/`
  await until('the refusal', async () => (await cluster.toolbox(client, 'http', direct)).status === undefined)
  await cluster.toolbox(client, 'http', direct, '--count', '100')
  const lines = await until(
    'the count of refusals',
    async () => {
      const found: string[] = []
      for (const pod of await cluster.pods('wishbone-system', 'app=ztunnel'))
        found.push(
          ...(await cluster.logs(pod))
            .split('\n')
            .filter((line) => line.includes('connection failed') && line.includes(ip)),
        )
      return found.some((line) => /suppressed\W+\d\d/.test(line)) ? found : undefined
    },
    20_000,
  )
  expect(lines.length).toBeLessThan(6)
  await cluster.remove(
    '{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: closed, namespace: shop}}',
  )
})

describe('the dump of a ztunnel', () => {
  const dumpOf = async (pod: PodObject): Promise<string> =>
    says(pod, `fetch('http://localhost:15000/config_dump').then(async (r) => console.log(await r.text()))`)
  let file: string

  beforeAll(async () => {
    await cluster.apply(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: dumped, namespace: shop }
spec:
  selector: { matchLabels: { app: server } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/client], notNamespaces: [evil], ipBlocks: [10.0.0.0/8] } }]
      to: [{ operation: { ports: ["8080", "8081"] } }]
`)
    await until('an answer', async () => (await get('/dumped')).status === 200)
    // It ends with the world, if not before.
    play(cluster, client, 'stream', '1', 'http://server:8080/stream', '30').catch(() => undefined)
    const [ztunnel] = (await readyPods(cluster, 'wishbone-system', 'app=ztunnel', 2)).filter(
      (pod) => pod.spec.nodeName === client.spec.nodeName,
    )
    const text = await until('the connection in the dump', async () => {
      const dump = await dumpOf(ztunnel!)
      return dump.includes('"originalDst"') ? dump : undefined
    })
    file = join(world.folder, 'dump.json')
    writeFileSync(file, text)
    expect(misfits(JSON.parse(text))).toEqual([])
  })

  test('has what the mesh knows, and no keys', async () => {
    const text = String(spawnSync('cat', [file]).stdout)
    expect(text).not.toContain('PRIVATE KEY')
    const dump = JSON.parse(text) as {
      workloads: { name: string; protocol: string }[]
      services: { name: string; waypoint?: { destination: string } }[]
      policies: { name: string; action: string; scope: string }[]
      certificates: { identity: string; state: string; certChain: unknown[]; rootCerts: unknown[] }[]
    }
    expect(dump.workloads).toContainEqual(expect.objectContaining({ name: 'server', protocol: 'HBONE' }))
    expect(dump.services.find(({ name }) => name === 'server')?.waypoint?.destination).toMatch(
      /^(?:\/10\.96\.\d+\.\d+|shop\/waypoint\.shop\.svc\.cluster\.local)$/,
    )
    expect(dump.policies).toContainEqual(
      expect.objectContaining({ name: 'dumped', action: 'Allow', scope: 'WorkloadSelector' }),
    )
    expect(dump.certificates).toContainEqual(
      expect.objectContaining({ identity: 'spiffe://cluster.local/ns/shop/sa/client', state: 'Available' }),
    )
  })

  const tool = process.env['ISTIOCTL']

  // $ISTIOCTL: an istioctl, or what tools/istioctl builds; only files are read with it.
  test.skipIf(!tool).each([
    { what: 'workloads', wanted: [/shop\s+server\s+10\.244\.\S+\s+node\d\s+None\s+HBONE/] },
    { what: 'services', wanted: [/shop\s+server\s+10\.96\.\S+\s+waypoint\s+1\/1/] },
    { what: 'policies', wanted: [/shop\s+dumped\s+Allow\s+WorkloadSelector/] },
    {
      what: 'certificates',
      wanted: [/sa\/client\s+Leaf\s+Available\s+true\s+[0-9a-f]+/, /sa\/client\s+Root\s+Available\s+true\s+[0-9a-f]+/],
    },
    {
      what: 'connections',
      wanted: [/client\.shop\s+Outbound\s+client\.shop:\d+\s+\S+:15008\s+server\.shop\.\S+:8080\s+HBONE/],
    },
  ])('istioctl ztunnel-config $what is filled', ({ what, wanted }) => {
    const shown = spawnSync(tool!, ['ztunnel-config', what, '-f', file], { encoding: 'utf8' })
    expect(shown.stderr).toBe('')
    for (const line of wanted) expect(shown.stdout).toMatch(line)
  })
})
