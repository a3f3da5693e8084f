// One world with the routes that are not plain HTTP to a backend: TLSRoute by server name, TCPRoute weights, routes of the
// clients' own namespace, and what happens before a final response (100, 103).
import { X509Certificate } from 'node:crypto'
import { createCsr, issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { logged } from '../src/attack/index.ts'
import { type Cluster, type PodObject, until } from '../src/cluster/index.ts'
import {
  type ExpectOutcome,
  type Greetings,
  type PlaysServer,
  play,
  playImages,
  type TlsOutcome,
} from '../src/play/index.ts'
import { accessLogLine, enrolled, readyPods, startWorld, type World, waypointOf } from '../src/world/index.ts'

let world: World
let cluster: Cluster
/** Clients by namespace. */
const clients: Record<string, PodObject> = {}
const fingerprints: Record<string, string> = {}

const namespaceOf = (name: string, ...pods: string[]): string => `---
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: ${name}, labels: { app: client } }
spec: { containers: [{ name: client, image: wishbone/toolbox:0.1.0, command: [sleep, infinity] }] }
${pods.join('')}`

/** A server with a Service of its own. */
function serverOf(name: string, key: string, certificate: string): string {
  const [keyText, certificateText] = [key, certificate].map((text) => JSON.stringify(text))
  return `---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec:
  containers:
    - name: server
      image: play/server:1
      env:
        - { name: NAME, value: ${name} }
        - { name: TLS_KEY, value: ${keyText} }
        - { name: TLS_CERT, value: ${certificateText} }
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
${serviceOf(name, name)}`
}

/** Without names that tell protocols apart but for HTTP's: routes say what a port is. */
function serviceOf(name: string, app: string): string {
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { app: ${app} }
  ports:
    - { name: secure, port: 8443 }
    - { name: greeting, port: 9001 }
    - { name: http, port: 8080 }
    - { name: http2, port: 8081, appProtocol: kubernetes.io/h2c }
`
}

beforeAll(async () => {
  const root = selfSignedRoot({ organization: 'play', ttlSeconds: 86_400 })
  const servers = await Promise.all(
    ['left', 'right'].map(async (name) => {
      const { csrPem, key } = await createCsr('spiffe://play/ns/shop/sa/server')
      const leaf = issueLeaf({ csrPem, dnsSans: [`${name}.example.com`], ttlSeconds: 3_600, signer: root })
      fingerprints[name] = new X509Certificate(leaf.pem).fingerprint256
      return serverOf(name, key.export({ type: 'pkcs8', format: 'pem' }).toString(), leaf.pem)
    }),
  )
  const objects = [
    namespaceOf('shop', ...servers, serviceOf('front', 'left'), serviceOf('lone', 'left')),
    namespaceOf('store'),
    namespaceOf('office'),
  ]
  world = await startWorld({ objects: objects.join(''), images: playImages })
  cluster = world.cluster
  for (const namespace of ['shop', 'store', 'office']) {
    await enrolled(cluster, namespace)
    clients[namespace] = (await readyPods(cluster, namespace, 'app=client'))[0]!
  }
  await cluster.apply(waypointOf())
  await cluster.patch('services', 'shop', 'front', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
  for (const name of ['left', 'right']) await readyPods(cluster, 'shop', `app=${name}`)
  await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
})
afterAll(() => world?.[Symbol.asyncDispose]())

interface RouteStatus {
  readonly status?: {
    readonly parents: readonly {
      readonly controllerName: string
      readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[]
    }[]
  }
}

/** Waits until the route's only parent has these conditions. */
async function expectConditions(
  kind: string,
  namespace: string,
  name: string,
  ...wanted: readonly string[]
): Promise<void> {
  await until(`${kind} ${name} to be ${wanted.join(', ')}`, async () => {
    const parents = ((await cluster.get(kind, namespace, name)) as RouteStatus).status?.parents ?? []
    const seen = parents.flatMap(({ conditions }) =>
      conditions.map(({ type, status, reason }) => `${type}=${status}:${reason}`),
    )
    if (parents.length === 1 && wanted.every((one) => seen.includes(one))) return true
    throw new Error(`it is ${seen.join(', ') || 'without a status'}`)
  })
}

const waypoints = (): Promise<readonly PodObject[]> =>
  cluster.pods('shop', 'gateway.networking.k8s.io/gateway-name=waypoint')

describe('TLSRoute', () => {
  const routeOf = (name: string): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: { name: ${name}, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: front, port: 8443 }]
  hostnames: [${name}.example.com]
  rules: [{ backendRefs: [{ name: ${name}, port: 8443 }] }]
`
  const over = (name: string): Promise<TlsOutcome> =>
    play<TlsOutcome>(cluster, clients['store']!, 'tls', 'front.shop', '8443', name)

  test('takes each connection to the backend of its server name, and the TLS is the application’s own', async () => {
    await cluster.apply(routeOf('left') + routeOf('right'))
    for (const name of ['left', 'right']) {
      await expectConditions('tlsroutes', 'shop', name, 'Accepted=True:Accepted', 'ResolvedRefs=True:ResolvedRefs')
      const seen = await until(`TLS with ${name}`, async () => {
        const outcome = await over(`${name}.example.com`)
        return outcome.heard?.startsWith(name) ? outcome : undefined
      })
      expect(seen).toEqual({
        fingerprint: fingerprints[name],
        alpn: 'play',
        heard: `${name} heard hello for ${name}.example.com`,
      })
    }
  })

  test('goes through the waypoint inside HBONE, on both hops', async () => {
    const [waypoint] = await waypoints()
    const hbone = `${waypoint!.status!.podIP}:15008`
    const out = await accessLogLine(cluster, (line) => line.includes(hbone) && line.includes(':8443'))
    expect(out).toMatch(/dst\.identity\W+spiffe:\/\/cluster\.local\/ns\/shop\/sa\/waypoint/)
    expect(out).toMatch(/dst\.hbone_addr\W+10\.96\.\d+\.\d+:8443/)
    const into = await accessLogLine(
      cluster,
      (line) => /direction\W+inbound/.test(line) && /src\.identity\W+\S+\/sa\/waypoint/.test(line),
    )
    expect(into).toMatch(/dst\.hbone_addr\W+10\.244\.\d+\.\d+:8443/)
  })

  test('refuses a server name that no route has, and a client without one, and says so', async () => {
    expect(await over('unknown.example.com')).toMatchObject({ error: 'ECONNRESET' })
    await logged(cluster, await waypoints(), 'a connection was refused', 'no-route', 'unknown.example.com')
    expect(await over('')).toMatchObject({ error: 'ECONNRESET' })
    expect((await over('left.example.com')).heard).toContain('left')
  })

  test('with a backend that does not exist says so and refuses', async () => {
    await cluster.apply(routeOf('left').replace('name: left, port: 8443 }]', 'name: nowhere, port: 8443 }]'))
    await expectConditions('tlsroutes', 'shop', 'left', 'Accepted=True:Accepted', 'ResolvedRefs=False:BackendNotFound')
    await until('the refusal', async () => (await over('left.example.com')).error === 'ECONNRESET')
    expect((await over('right.example.com')).heard).toContain('right')
    await cluster.apply(routeOf('left'))
  })
})

describe('TCPRoute', () => {
  test('shares connections of a server that speaks first by weight', async () => {
    await cluster.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: shares, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: front, port: 9001 }]
  rules:
    - backendRefs:
        - { name: left, port: 9001, weight: 90 }
        - { name: right, port: 9001, weight: 10 }
`)
    await expectConditions('tcproutes', 'shop', 'shares', 'Accepted=True:Accepted', 'ResolvedRefs=True:ResolvedRefs')
    const greet = async (count: number): Promise<Greetings['heard']> =>
      (await play<Greetings>(cluster, clients['store']!, 'greetings', 'front.shop', '9001', String(count))).heard
    await until('the route to be in force', async () => (await greet(20))['220 right'])
    const heard = await greet(500)
    expect(Object.keys(heard).sort()).toEqual(['220 left', '220 right'])
    expect(heard['220 left']! + heard['220 right']!).toBe(500)
    expect(heard['220 right']).toBeGreaterThan(35)
    expect(heard['220 right']).toBeLessThan(65)
  })
})

describe('a route of the clients’ own namespace', () => {
  const routeOf = (namespace: string, service: string, path = '/'): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: for-${service}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${service}, namespace: shop, port: 8080 }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: ${path} } }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-route, value: ${namespace} }] }
      backendRefs: [{ name: ${service}, namespace: shop, port: 8080 }]
`
  const routeFor = async (namespace: string, service: string): Promise<unknown> => {
    const outcome = await cluster.toolbox(clients[namespace]!, 'http', `http://${service}.shop:8080/some/path`)
    if (outcome.status !== 200) return outcome.status ?? outcome.error
    return (JSON.parse(outcome.body ?? '{}') as PlaysServer).headers['x-route'] ?? 'none'
  }
  const sees = (namespace: string, service: string, wanted: unknown): Promise<unknown> =>
    until(`clients in ${namespace} to get ${wanted}`, async () => {
      const seen = await routeFor(namespace, service)
      if (seen === wanted) return true
      throw new Error(`they get ${seen}`)
    })

  test('is for them alone, and before the producer’s, however specific that is', async () => {
    await cluster.apply(routeOf('shop', 'front', '/some/path') + routeOf('store', 'front'))
    await expectConditions('httproutes', 'store', 'for-front', 'Accepted=True:Accepted')
    await sees('store', 'front', 'store')
    await sees('office', 'front', 'shop')
    await sees('shop', 'front', 'shop')
    await sees('store', 'front', 'store')
  })

  test('leaves others with the Service itself where there is no producer’s', async () => {
    await cluster.remove(routeOf('shop', 'front'))
    await sees('office', 'front', 'none')
    await sees('store', 'front', 'store')
    await cluster.remove(routeOf('store', 'front'))
    await sees('store', 'front', 'none')
  })

  test('brings an automatic waypoint for a Service that has none', async () => {
    expect(await routeFor('store', 'lone')).toBe('none')
    await cluster.apply(routeOf('store', 'lone'))
    await sees('store', 'lone', 'store')
    await sees('office', 'lone', 'none')
    await cluster.apply(routeOf('shop', 'lone'))
    await sees('office', 'lone', 'shop')
    await sees('store', 'lone', 'store')
  })
})

describe.each([
  { version: '1', url: 'http://front.shop:8080' },
  { version: '2', url: 'http://front.shop:8081' },
])('HTTP/$version', ({ version, url }) => {
  const ask = (path: string, bytes: number): Promise<ExpectOutcome> =>
    play<ExpectOutcome>(cluster, clients['store']!, 'expect', version, `${url}${path}`, String(bytes))

  test.each([5, 200_000])('asks the backend whether %i bytes may come, and passes its word on', async (bytes) => {
    const outcome = await ask('/continue', bytes)
    expect(outcome).toMatchObject({ statuses: [100, 200], sentBody: true })
    expect(outcome.firstMs).toBeGreaterThan(250)
    expect(outcome.body).toContain(`"bytes":${bytes}`)
    expect(outcome.body).toContain('"expect":"100-continue"')
  })

  test.each([417, 401])('passes a %i on before the body is sent', async (status) => {
    const outcome = await ask(`/refuse/${status}`, 50_000)
    expect(outcome).toMatchObject({ statuses: [status], sentBody: false })
    expect(outcome.body).toContain('no')
  })

  test('passes early hints on', async () => {
    expect(await ask('/hints', 0)).toMatchObject({ statuses: [103, 200], link: '</style.css>; rel=preload' })
  })
})
