// Waypoint mode: HBONE in from a client's ztunnel, HBONE out to the destination's, all in this process.
import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { MeshState } from '@wishbone/core/mesh'
import { l7, security, workload } from '@wishbone/proto'
import { issueLeaf, selfSignedRoot, WorkloadCertificate } from '@wishbone/runtime/certificates'
import { acceptHbone, type ConnectRequest, HbonePool, toDuplex } from '@wishbone/runtime/hbone'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics, type Metrics } from '@wishbone/runtime/metrics'
import { acceptTls, connectTls } from '@wishbone/runtime/tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { joinStreams } from '../src/l4/join.ts'
import { ResourceStore } from '../src/state/store.ts'
import { Waypoint } from '../src/waypoint.ts'
import { type RouteInit, route } from './harness.ts'
import { type Backend, echo, http2Backend, tcpBackend } from './servers.ts'

const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 3600 })
/** Where the destination's ztunnel listens: a loopback address of this test's own. */
const podIp = '127.83.15.8'
const serviceIp = '10.96.7.1'
const service = 'shop/echo.shop.svc.cluster.local'
const listenerName = 'service/shop/echo.shop.svc.cluster.local/80'

function certificateOf(namespace: string, account: string): WorkloadCertificate {
  const identity = `spiffe://cluster.local/ns/${namespace}/sa/${account}`
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const leaf = issueLeaf({ publicKey, uriSans: [identity], ttlSeconds: 3600, signer: root })
  return new WorkloadCertificate({ identity, key: privateKey, chainPem: leaf.pem, rootsPem: root.certPem })
}

const waypointCertificate = certificateOf('shop', 'waypoint')
const state = new MeshState()
const store = new ResourceStore()
const accessLog: Record<string, unknown>[] = []
const lines: string[] = []
const connects: ConnectRequest[] = []
let metrics: Metrics
let waypoint: Waypoint
let app: Backend
let talker: Backend
let ztunnel: net.Server
const pools: HbonePool[] = []

beforeAll(async () => {
  app = await echo('echo')
  talker = await tcpBackend((socket) => {
    socket.write('220 hello\r\n')
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end())
  })
  ztunnel = net.createServer((socket) => void serveZtunnel(socket).catch(() => socket.destroy()))
  await new Promise<void>((resolve) => ztunnel.listen(0, podIp, resolve))
  metrics = createMetrics({ process: false })
  putAddresses([])
  putListener({})
  waypoint = await Waypoint.start({
    state,
    store,
    metrics,
    log: createLogger({
      program: 'waypoint',
      level: 'debug',
      sink: { write: (text) => void lines.push(text), flush() {}, dropped: 0 },
    }),
    accessLog: { write: (text) => void accessLog.push(JSON.parse(text)) },
    mesh: {
      certificate: async () => waypointCertificate,
      trustDomain: 'cluster.local',
      port: 0,
      tunnelPort: (ztunnel.address() as net.AddressInfo).port,
      network: '',
      self: () => undefined,
    },
    host: '127.0.0.1',
  })
})

afterAll(async () => {
  for (const pool of pools) pool.close(new Error('over') as never)
  await waypoint.close()
  ztunnel.close()
  app.close()
  talker.close()
})

beforeEach(async () => {
  accessLog.length = 0
  connects.length = 0
  store.apply('routes', [], [...store.resources.routes.keys()])
  putListener({})
  putAddresses([])
  await waypoint.settled()
})

/** The destination's ztunnel: takes CONNECTs for its pod and dials the application. */
async function serveZtunnel(socket: net.Socket): Promise<void> {
  const secure = await acceptTls(socket, { certificate: certificateOf('shop', 'echo'), trustDomain: 'cluster.local' })
  acceptHbone(secure, {
    onConnect(request) {
      connects.push(request)
      const port = Number(request.authority.split(':')[1])
      const upstream = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      upstream.once('connect', () => joinStreams(toDuplex(request.accept()), upstream))
      upstream.on('error', () => upstream.destroy())
    },
  })
}

function putAddresses(policies: readonly string[], appPort: number = app?.port ?? 1): void {
  const serviceAddress = create(workload.AddressSchema, {
    type: {
      case: 'service',
      value: {
        name: 'echo',
        namespace: 'shop',
        hostname: 'echo.shop.svc.cluster.local',
        addresses: [{ address: new Uint8Array([10, 96, 7, 1]) }],
        ports: [{ servicePort: 80, targetPort: 0 }],
      },
    },
  })
  const pod = create(workload.AddressSchema, {
    type: {
      case: 'workload',
      value: {
        uid: 'Kubernetes//Pod/shop/echo-1',
        name: 'echo-1',
        namespace: 'shop',
        serviceAccount: 'echo',
        workloadName: 'echo',
        addresses: [new Uint8Array([127, 83, 15, 8])],
        tunnelProtocol: workload.TunnelProtocol.HBONE,
        services: {
          [service]: {
            ports: [
              { servicePort: 80, targetPort: appPort },
              { servicePort: 25, targetPort: talker?.port ?? 1 },
            ],
          },
        },
        authorizationPolicies: [...policies],
      },
    },
  })
  state.apply({
    addresses: [
      [service, serviceAddress],
      ['Kubernetes//Pod/shop/echo-1', pod],
    ],
    removed: [],
  })
}

function putListener(init: MessageInitShape<typeof l7.ListenerSchema>): void {
  const of = (port: number) =>
    create(l7.ListenerSchema, {
      name: `service/shop/echo.shop.svc.cluster.local/${port}`,
      bound: { case: 'service', value: { namespace: 'shop', hostname: 'echo.shop.svc.cluster.local', port } },
      ...init,
    })
  store.apply(
    'listeners',
    [of(80), of(25)].map((one) => [one.name, one] as const),
    [],
  )
}

function putRoutes(...inits: RouteInit[]): Promise<void> {
  store.apply(
    'routes',
    inits.map((init) => route({ parents: [{ listener: listenerName }], ...init } as RouteInit)),
    [],
  )
  return waypoint.settled()
}

const itself = {
  weight: 1,
  backend: {
    target: {
      case: 'service' as const,
      value: { namespace: 'shop', hostname: 'echo.shop.svc.cluster.local', port: 80 },
    },
  },
}

/** A client's ztunnel: one tunnel to the waypoint. */
async function tunnel(authority: string, namespace = 'shop', account = 'client'): Promise<Duplex> {
  const certificate = certificateOf(namespace, account)
  const pool = new HbonePool()
  pools.push(pool)
  const destination = `127.0.0.1:${waypoint.meshPort}`
  const key = {
    sourceIdentity: certificate.identity,
    expectedIdentities: [waypointCertificate.identity],
    sourceIp: '',
    destination,
  }
  const baggage = 'k8s.cluster.name=Kubernetes,k8s.namespace.name=liar,k8s.deployment.name=sleep,service.name=sleep'
  const opened = await pool.connect(key, authority, { baggage }, async () => {
    const socket = net.connect(waypoint.meshPort!, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    return connectTls(socket, { certificate, expectedIdentities: key.expectedIdentities })
  })
  return toDuplex(opened).on('error', () => {})
}

async function get(authority: string, path = '/', namespace = 'shop', account = 'client') {
  const stream = await tunnel(authority, namespace, account)
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number
    headers: http.IncomingHttpHeaders
    body: string
  }>()
  const request = http.request({ createConnection: () => stream, path, headers: { host: 'echo' } }, (response) => {
    let body = ''
    response.on('data', (chunk) => {
      body += chunk
    })
    response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
  })
  request.on('error', reject)
  request.end()
  return promise
}

test('MeshBasic: without routes requests go to the Service itself, with the waypoint as the one who asks', async () => {
  const answer = await get(`${serviceIp}:80`, '/x')
  expect([answer.status, JSON.parse(answer.body)]).toMatchObject([
    200,
    { name: 'echo', url: '/x', headers: { host: 'echo' } },
  ])
  expect(connects).toHaveLength(1)
  expect(connects[0]).toMatchObject({
    authority: `${podIp}:${app.port}`,
    peer: { namespace: 'shop', serviceAccount: 'waypoint' },
  })
  await expect
    .poll(() => accessLog)
    .toMatchObject([
      {
        'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
        'src.workload': 'sleep',
        'src.namespace': 'shop',
        'dst.workload': 'echo-1',
      },
    ])
  expect(await metrics.text()).toMatch(
    /istio_requests_total\{reporter="waypoint",source_workload="sleep".*connection_security_policy="mutual_tls"\} 1/,
  )
  expect((await get('echo.shop.svc.cluster.local:80')).status).toBe(200)
})

test('a CONNECT for something that is not bound here is answered with 404 and logged', async () => {
  for (const [authority, status] of [
    ['10.96.7.1:81', 404],
    [`${podIp}:80`, 404],
    ['10.1.2.3:80', 404],
    ['other.shop.svc.cluster.local:80', 404],
  ] as const)
    await expect(tunnel(authority)).rejects.toMatchObject({ status })
  expect(lines.some((line) => line.includes('not bound to this waypoint'))).toBe(true)
})

test('MeshFrontend: a request that no route matches gets 404', async () => {
  putListener({ hasRoutes: true })
  await putRoutes({
    matches: [{ path: { kind: { case: 'prefix', value: '/in' } } }],
    filters: [{ kind: { case: 'responseHeaders', value: { set: [{ name: 'x-route', value: 'yes' }] } } }],
    backends: [itself],
  })
  expect((await get(`${serviceIp}:80`, '/out')).status).toBe(404)
  expect((await get(`${serviceIp}:80`, '/in')).headers['x-route']).toBe('yes')
})

test("MeshConsumerRoute: clients of the consumer's namespace get their own route, others the Service itself", async () => {
  putListener({ consumerNamespaces: ['consumer'] })
  await putRoutes({
    consumerNamespace: 'consumer',
    filters: [{ kind: { case: 'responseHeaders', value: { set: [{ name: 'x-consumer', value: 'yes' }] } } }],
    backends: [itself],
  })
  expect((await get(`${serviceIp}:80`, '/', 'consumer')).headers['x-consumer']).toBe('yes')
  expect((await get(`${serviceIp}:80`, '/', 'shop')).headers['x-consumer']).toBeUndefined()
})

describe("policies of the picked workload, on the client's own identity", () => {
  const policy = (action: security.Action, account: string) =>
    create(security.AuthorizationSchema, {
      name: 'guard',
      namespace: 'shop',
      scope: security.Scope.WORKLOAD_SELECTOR,
      action,
      rules: [
        {
          clauses: [
            {
              matches: [
                { principals: [{ matchType: { case: 'exact', value: `cluster.local/ns/shop/sa/${account}` } }] },
              ],
            },
          ],
        },
      ],
    })

  test('denied with 403, others pass', async () => {
    state.applyAuthorizations({
      authorizations: [['shop/guard', policy(security.Action.ALLOW, 'friend')]],
      removed: [],
    })
    putAddresses(['shop/guard'])
    expect((await get(`${serviceIp}:80`, '/', 'shop', 'client')).status).toBe(403)
    expect((await get(`${serviceIp}:80`, '/', 'shop', 'friend')).status).toBe(200)
    await expect.poll(() => accessLog).toMatchObject([{ reason: 'denied' }, { status: 200 }])
  })

  test('what a policy says of requests is judged where HTTP is spoken, and layer 4 allows nothing for it', async () => {
    const allowNothing = create(security.AuthorizationSchema, {
      name: 'guard',
      namespace: 'shop',
      scope: security.Scope.WORKLOAD_SELECTOR,
    })
    const gets = create(l7.RequestPolicySchema, {
      name: 'shop/guard',
      rules: [{ clauses: [{ matches: [{ paths: [{ matchType: { case: 'prefix', value: '/open' } }] }] }] }],
    })
    state.applyAuthorizations({ authorizations: [['shop/guard', allowNothing]], removed: [] })
    putAddresses(['shop/guard'])
    expect((await get(`${serviceIp}:80`, '/open/1')).status).toBe(403)
    store.apply('requestPolicies', [['shop/guard', gets]], [])
    expect((await get(`${serviceIp}:80`, '/open/1')).status).toBe(200)
    expect((await get(`${serviceIp}:80`, '/open/../shut')).status).toBe(403)
    expect((await get(`${serviceIp}:80`, '/shut')).status).toBe(403)
    const closed = new Promise(
      (resolve) => void tunnel(`${serviceIp}:25`).then((stream) => stream.once('close', resolve)),
    )
    await closed
    store.apply('requestPolicies', [], ['shop/guard'])
    expect((await get(`${serviceIp}:80`, '/open/1')).status).toBe(403)
  })

  test('what a DENY policy said of requests allows nothing once it is an ALLOW policy, before its new words have come', async () => {
    const of = (action: security.Action) =>
      create(security.AuthorizationSchema, {
        name: 'guard',
        namespace: 'shop',
        scope: security.Scope.WORKLOAD_SELECTOR,
        action,
      })
    const shut = create(l7.RequestPolicySchema, {
      name: 'shop/guard',
      action: security.Action.DENY,
      rules: [{ clauses: [{ matches: [{ paths: [{ matchType: { case: 'prefix', value: '/shut' } }] }] }] }],
    })
    state.applyAuthorizations({ authorizations: [['shop/guard', of(security.Action.DENY)]], removed: [] })
    store.apply('requestPolicies', [['shop/guard', shut]], [])
    putAddresses(['shop/guard'])
    expect((await get(`${serviceIp}:80`, '/shut')).status).toBe(403)
    expect((await get(`${serviceIp}:80`, '/open')).status).toBe(200)
    state.applyAuthorizations({ authorizations: [['shop/guard', of(security.Action.ALLOW)]], removed: [] })
    expect((await get(`${serviceIp}:80`, '/shut')).status).toBe(403)
    store.apply('requestPolicies', [], ['shop/guard'])
  })

  test('a live connection that is not HTTP ends when a policy comes that denies it', async () => {
    const stream = await tunnel(`${serviceIp}:25`)
    const closed = new Promise((resolve) => stream.once('close', resolve))
    let text = ''
    stream.on('data', (chunk) => {
      text += chunk
    })
    await expect.poll(() => text).toBe('220 hello\r\n')
    state.applyAuthorizations({
      authorizations: [['shop/guard', policy(security.Action.DENY, 'somebody')]],
      removed: [],
    })
    putAddresses(['shop/guard'])
    stream.write('still')
    await expect.poll(() => text).toContain('STILL')
    state.applyAuthorizations({
      authorizations: [['shop/guard', policy(security.Action.DENY, 'client')]],
      removed: [],
    })
    await closed
  })

  test('a request whose body is still coming when its listener gets a policy is judged by it', async () => {
    const stream = await tunnel(`${serviceIp}:80`)
    let answer = ''
    stream.on('data', (chunk) => {
      answer += chunk
    })
    stream.write('POST / HTTP/1.1\r\nHost: echo\r\nContent-Length: 4\r\n\r\n12')
    // The head is judged, and the body is waited for.
    await new Promise((resolve) => setTimeout(resolve, 100))
    state.applyAuthorizations({
      authorizations: [['shop/guard', policy(security.Action.DENY, 'client')]],
      removed: [],
    })
    putListener({ policies: ['shop/guard'] })
    await waypoint.settled()
    stream.write('34')
    await expect.poll(() => answer).toMatch(/^HTTP\/1.1 403 /)
    expect(connects).toEqual([])
    stream.destroy()
  })

  test('a policy that has not arrived is waited for, then refused', async () => {
    state.applyAuthorizations({ authorizations: [], removed: ['shop/guard'] })
    putAddresses(['shop/late'])
    const soon = get(`${serviceIp}:80`)
    setTimeout(() => {
      const late = create(security.AuthorizationSchema, { ...policy(security.Action.ALLOW, 'client'), name: 'late' })
      state.applyAuthorizations({ authorizations: [['shop/late', late]], removed: [] })
    }, 100)
    expect((await soon).status).toBe(200)
    putAddresses(['shop/never'])
    expect((await get(`${serviceIp}:80`)).status).toBe(403)
  })

  test('a request that waits for a policy is judged by what its workload names when it comes', async () => {
    const named = (action: security.Action, name: string) =>
      create(security.AuthorizationSchema, { ...policy(action, 'client'), name })
    state.applyAuthorizations({
      authorizations: [['shop/added', named(security.Action.DENY, 'added')]],
      removed: ['shop/late', 'shop/guard'],
    })
    putAddresses(['shop/late'])
    const denied = get(`${serviceIp}:80`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    putAddresses(['shop/late', 'shop/added'])
    state.applyAuthorizations({
      authorizations: [['shop/late', named(security.Action.ALLOW, 'late')]],
      removed: [],
    })
    expect((await denied).status).toBe(403)
    putAddresses(['shop/gone'])
    const allowed = get(`${serviceIp}:80`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    putAddresses([])
    expect((await allowed).status).toBe(200)
  })
})

test('a server that speaks first is carried as TCP after a short silence', async () => {
  const stream = await tunnel(`${serviceIp}:25`)
  let text = ''
  stream.on('data', (chunk) => {
    text += chunk
  })
  await expect.poll(() => text).toBe('220 hello\r\n')
  stream.write('quit')
  await expect.poll(() => text).toBe('220 hello\r\nQUIT')
  stream.end()
  await new Promise((resolve) => stream.once('end', resolve))
  await expect.poll(async () => metrics.text()).toMatch(/istio_tcp_connections_closed_total\{.*\} [1-9]/)
})

test('the identity behind the address must be that of the workload', async () => {
  const impostor = create(workload.AddressSchema, {
    type: {
      case: 'workload',
      value: {
        ...state.workloadByUid('Kubernetes//Pod/shop/echo-1')!,
        serviceAccount: 'somebody-else',
      },
    },
  })
  state.apply({ addresses: [['Kubernetes//Pod/shop/echo-1', impostor]], removed: [] })
  expect((await get(`${serviceIp}:80`)).status).toBe(503)
  await expect.poll(() => accessLog).toMatchObject([{ reason: 'identity-mismatch' }])
})

test('gRPC and WebSocket through tunnels on both sides', async () => {
  const grpc = await http2Backend((stream, headers) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': '0', 'x-authority': headers[':authority'] ?? '' }),
    )
    stream.on('data', (chunk: Buffer) => stream.write(`<${chunk}>`))
    stream.on('end', () => stream.end())
  })
  putAddresses([], grpc.port)
  const over = await tunnel(`${serviceIp}:80`)
  const session = http2.connect('http://echo', { createConnection: () => over })
  const stream = session.request({
    ':method': 'POST',
    ':path': '/a.B/C',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  let body = ''
  stream.on('data', (chunk) => {
    body += chunk
  })
  const trailers = new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('trailers', resolve))
  stream.end('ping')
  expect(await trailers).toMatchObject({ 'grpc-status': '0', 'x-authority': 'echo:80' })
  expect(body).toBe('<ping>')
  session.destroy()
  grpc.close()

  const upgrading = http.createServer()
  upgrading.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end())
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => upgrading.listen(0, '127.0.0.1', resolve))
  putAddresses([], (upgrading.address() as net.AddressInfo).port)
  const stream2 = await tunnel(`${serviceIp}:80`)
  stream2.write('GET /ws HTTP/1.1\r\nHost: echo\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  let text = ''
  stream2.on('data', (chunk) => {
    text += chunk
  })
  await expect.poll(() => text).toMatch(/^HTTP\/1.1 101 /)
  stream2.write('hello')
  await expect.poll(() => text).toMatch(/\r\n\r\nHELLO$/)
  stream2.end()
  upgrading.close()
})

test('keep-alive: many requests on one tunnel', async () => {
  const over = await tunnel(`${serviceIp}:80`)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = (() => over) as never
  for (let i = 0; i < 20; i++) {
    const status = await new Promise<number>((resolve, reject) => {
      const body = i % 2 === 0 ? undefined : 'x'.repeat(i * 1000)
      const request = http.request(
        { agent, method: body === undefined ? 'GET' : 'POST', path: `/${i}` },
        (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0))
        },
      )
      request.on('error', reject)
      request.end(body)
    })
    expect(status).toBe(200)
  }
  expect(connects.length).toBeLessThanOrEqual(1)
  agent.destroy()
})

test.each<[string, (stream: Duplex) => void]>([
  ['ends its side of', (stream) => void stream.end()],
  ['cancels', (stream) => void stream.destroy()],
  ['resets', (stream) => void stream.destroy(new Error('gone'))],
])('whoever %s a tunnel from which nothing is read is missed', async (_way, leave) => {
  const taken: net.Socket[] = []
  const hanging = await tcpBackend((socket) => {
    taken.push(socket.resume())
    socket.on('end', () => socket.end())
  })
  putAddresses([], hanging.port)
  const request = 'GET / HTTP/1.1\r\nHost: echo\r\n\r\n'
  const upgrade = request.replace('Host', 'Connection: Upgrade\r\nUpgrade: websocket\r\nHost')
  const streams: Duplex[] = []
  for (const bytes of [request.repeat(3), upgrade, `${upgrade}frames`]) {
    const stream = await tunnel(`${serviceIp}:80`)
    stream.resume().write(bytes)
    streams.push(stream)
  }
  await expect.poll(() => taken).toHaveLength(streams.length)
  for (const stream of streams) leave(stream)
  await expect.poll(() => taken.every(({ destroyed }) => destroyed), { timeout: 3_000 }).toBe(true)
  await expect.poll(() => accessLog.map(({ reason }) => reason)).toEqual(streams.map(() => 'client-closed'))
  await expect.poll(() => waypoint.active).toBe(0)
  hanging.close()
})
