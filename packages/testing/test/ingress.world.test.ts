// One world, an ingress gateway as a client of the mesh: its own identity, through waypoints or past them, and what it speaks to
// backends that are in the mesh, that are not, and that want TLS of their own.
import { createCsr, issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type PodObject, until } from '../src/cluster/index.ts'
import { type Greetings, type PlaysServer, play, playImages } from '../src/play/index.ts'
import { accessLogLine, enrolled, readyPods, startWorld, type World, waypointOf } from '../src/world/index.ts'

let world: World
let cluster: Cluster
let outside: PodObject
let member: PodObject

const gateway = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  gatewayClassName: wishbone
  listeners:
    - { name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }
    - { name: greeting, port: 9001, protocol: TCP, allowedRoutes: { namespaces: { from: All } } }
`

const namespaceOf = (name: string, labels = '{}'): string => `---
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: ${labels} }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: ${name}, labels: { app: client } }
spec: { containers: [{ name: client, image: wishbone/toolbox:0.1.0, command: [sleep, infinity] }] }
`

const serverOf = (namespace: string, key: string, certificate: string): string => `---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: ${namespace}, labels: { app: server } }
spec:
  containers:
    - name: server
      image: play/server:1
      env:
        - { name: TLS_KEY, value: ${JSON.stringify(key)} }
        - { name: TLS_CERT, value: ${JSON.stringify(certificate)} }
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
`

const greeting = `---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: greeting, namespace: shop }
spec:
  parentRefs: [{ name: edge, namespace: edge, sectionName: greeting }]
  rules: [{ backendRefs: [{ name: front, port: 9001 }] }]
`

/** A Service and the gateway's route to it, at /NAMESPACE/NAME. */
const servedAt = (namespace: string, name: string, port: number): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { selector: { app: server }, ports: [{ name: http, port: ${port} }, { name: tcp, port: 9001 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: to-${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ name: edge, namespace: edge, sectionName: http }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /${namespace}/${name} } }]
      backendRefs: [{ name: ${name}, port: ${port} }]
`

const tlsPolicyFor = (namespace: string, ca: string): string => `---
apiVersion: v1
kind: ConfigMap
metadata: { name: ca, namespace: ${namespace} }
data: { ca.crt: ${JSON.stringify(ca)} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: secure, namespace: ${namespace} }
spec:
  targetRefs: [{ group: "", kind: Service, name: secure }]
  validation: { hostname: backend.example, caCertificateRefs: [{ group: "", kind: ConfigMap, name: ca }] }
`

const strictForTheGateway = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-the-gateway, namespace: shop }
spec: { rules: [{ from: [{ source: { principals: [cluster.local/ns/edge/sa/edge-wishbone] } }] }] }
`

/** The Service's producer says which requests came through the waypoint. */
const mark = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mark, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: front, port: 8080 }]
  rules:
    - filters:
        - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-way, value: waypoint }] } }
      backendRefs: [{ name: front, port: 8080 }]
`

const noDeletes = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-deletes, namespace: shop }
spec:
  action: DENY
  targetRefs: [{ group: "", kind: Service, name: front }]
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
`

beforeAll(async () => {
  const root = selfSignedRoot({ organization: 'backends', ttlSeconds: 86_400 })
  const { csrPem, key } = await createCsr('spiffe://backends/ns/any/sa/server')
  const leaf = issueLeaf({ csrPem, dnsSans: ['backend.example'], ttlSeconds: 3_600, signer: root })
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  const objects = [
    namespaceOf('edge'),
    gateway,
    ...['shop', 'legacy'].flatMap((namespace) => [
      namespaceOf(namespace, namespace === 'shop' ? '{ istio.io/dataplane-mode: ambient }' : '{}'),
      serverOf(namespace, keyPem, leaf.pem),
      servedAt(namespace, 'plain', 8080),
      servedAt(namespace, 'secure', 8443),
      tlsPolicyFor(namespace, root.certPem),
    ]),
    servedAt('shop', 'front', 8080),
    greeting,
    strictForTheGateway,
    `---\n${waypointOf()}`,
    mark,
  ]
  world = await startWorld({ objects: objects.join(''), images: playImages })
  cluster = world.cluster
  await enrolled(cluster, 'shop', true, 'app in (client, server)')
  for (const namespace of ['shop', 'legacy']) await readyPods(cluster, namespace, 'app=server')
  outside = (await readyPods(cluster, 'legacy', 'app=client'))[0]!
  member = (await readyPods(cluster, 'shop', 'app=client'))[0]!
  await readyPods(cluster, 'edge', 'gateway.networking.k8s.io/gateway-name=edge')
  await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  await labelFront({ 'istio.io/use-waypoint': 'waypoint' })
})
afterAll(() => world?.[Symbol.asyncDispose]())

interface Answer {
  readonly status?: number
  readonly body?: string
  readonly error?: string
}

async function ask(url: string, { method = 'GET', from = outside } = {}): Promise<Answer> {
  const script = `fetch(${JSON.stringify(url)}, { method: '${method}' })
    .then(async (answer) => ({ status: answer.status, body: await answer.text() }), (error) => ({ error: error.cause?.code ?? error.message }))
    .then((outcome) => console.log(JSON.stringify(outcome)))`
  const { stdout, stderr } = await cluster.run(from, ['node', '-e', script])
  if (stdout === '') throw new Error(`${url}: ${stderr}`)
  return JSON.parse(stdout) as Answer
}

const throughGateway = (path: string, method?: string): Promise<Answer> =>
  ask(`http://edge-wishbone.edge${path}`, method === undefined ? {} : { method })

async function seenBy(path: string): Promise<PlaysServer> {
  const { status, body = '', error } = await throughGateway(path)
  if (status !== 200) throw new Error(`${path} answers ${status ?? error}: ${body}`)
  return JSON.parse(body) as PlaysServer
}

const labelFront = (labels: Readonly<Record<string, string | null>>): Promise<void> =>
  cluster.patch('services', 'shop', 'front', { metadata: { labels } })

async function goes(way: 'straight' | 'through the waypoint'): Promise<void> {
  const wanted = way === 'straight' ? undefined : 'waypoint'
  await until(`requests to go ${way}`, async () => {
    const { headers } = await seenBy('/shop/front')
    if (headers['x-way'] === wanted) return true
    throw new Error(`x-way is ${headers['x-way']}`)
  })
}

async function isRefused(): Promise<void> {
  await until('the refusal', async () => {
    const { status, body } = await throughGateway('/shop/front')
    if (status === 503) return true
    throw new Error(`the answer is ${status}: ${body}`)
  })
}

describe('to a backend in the mesh', () => {
  test('it speaks with an identity of its own, which a policy can name', async () => {
    expect((await until('an answer', () => seenBy('/shop/plain'))).tlsName).toBeUndefined()
    const line = await accessLogLine(
      cluster,
      (text) => /direction\W+inbound/.test(text) && text.includes('/ns/edge/sa/edge-wishbone'),
    )
    expect(line).toMatch(/dst\.hbone_addr\W+10\.244\.\d+\.\d+:8080/)
  })

  test('where nobody else gets in: not in plaintext, nor with another identity', async () => {
    expect((await ask('http://plain.shop:8080/')).error).toBeDefined()
    expect((await ask('http://plain.shop:8080/', { from: member })).error).toBeDefined()
  })

  test('it speaks the backend’s own TLS inside the tunnel', async () => {
    expect((await until('an answer', () => seenBy('/shop/secure'))).tlsName).toBe('backend.example')
  })
})

describe('to a backend outside the mesh', () => {
  test('it speaks plaintext, or TLS where a policy says so', async () => {
    expect((await until('an answer', () => seenBy('/legacy/plain'))).tlsName).toBeUndefined()
    expect((await until('an answer', () => seenBy('/legacy/secure'))).tlsName).toBe('backend.example')
  })
})

describe('to a Service with a waypoint', () => {
  const ask = 'istio.io/ingress-use-waypoint'

  test('it goes straight, unless the Service or its namespace asks for the waypoint', async () => {
    await goes('straight')
    await labelFront({ [ask]: 'true' })
    await goes('through the waypoint')
    await labelFront({ [ask]: null })
    await goes('straight')
    await cluster.patch('namespaces', undefined, 'shop', { metadata: { labels: { [ask]: 'true' } } })
    await goes('through the waypoint')
    await labelFront({ [ask]: 'false' })
    await goes('straight')
    await cluster.patch('namespaces', undefined, 'shop', { metadata: { labels: { [ask]: null } } })
  })

  test('the same holds for bytes, of a server that speaks first too', async () => {
    const greet = async (): Promise<Greetings['heard']> =>
      (await play<Greetings>(cluster, outside, 'greetings', 'edge-wishbone.edge', '9001', '3')).heard
    const waypoints = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
    const carried = async (): Promise<boolean> =>
      (await Promise.all(waypoints.map((pod) => cluster.logs(pod)))).some((text) => text.includes(':9001'))
    await until('the greetings', async () => (await greet())['220 server'] === 3)
    expect(await carried()).toBe(false)
    await labelFront({ [ask]: 'true' })
    await until('the waypoint to carry the greetings', async () => (await greet())['220 server'] === 3 && carried())
    await labelFront({ [ask]: null })
    await goes('straight')
  })

  test('it goes through the waypoint where a policy on requests is, which is enforced', async () => {
    await cluster.apply(noDeletes)
    await goes('through the waypoint')
    await until('the policy', async () => (await throughGateway('/shop/front', 'DELETE')).status === 403)
    expect((await throughGateway('/shop/front', 'POST')).status).toBe(200)
  })

  test('it refuses where that waypoint is missing, and nobody gets past it by another way', async () => {
    await labelFront({ 'istio.io/use-waypoint': 'missing' })
    await isRefused()
    expect((await throughGateway('/shop/front', 'DELETE')).status).toBe(503)
    // The same pods, by a Service without a waypoint: their ztunnel refuses.
    await until('the refusal', async () => (await throughGateway('/shop/plain')).status === 503)
    await cluster.remove(noDeletes)
    await until('an answer', () => seenBy('/shop/plain'))
    await goes('straight')
    await labelFront({ [ask]: 'true' })
    await isRefused()
    await labelFront({ 'istio.io/use-waypoint': 'waypoint' })
    await goes('through the waypoint')
  })
})
