// TLS passed through and ended on one port, clients' certificates, certificates for backends, and UDP.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { duplexPair } from 'node:stream'
import tls from 'node:tls'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { parseIp } from '@wishbone/core/ip'
import { l7, security } from '@wishbone/proto'
import { issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { hostname, startWorld, to, type World } from './harness.ts'
import { tcpBackend } from './servers.ts'

const root = selfSignedRoot({ organization: 'servers', ttlSeconds: 3600 })
const clients = selfSignedRoot({ organization: 'clients', ttlSeconds: 3600 })
const strangers = selfSignedRoot({ organization: 'clients', ttlSeconds: 3600 })
let world: World
const closers: (() => void)[] = []

function pair(signer: typeof root, ...dnsSans: string[]): { cert: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = issueLeaf({ publicKey, dnsSans, ttlSeconds: 3600, signer }).pem
  return { cert, key: (privateKey as KeyObject).export({ format: 'pem', type: 'pkcs8' }) as string }
}

function certificate(name: string, { cert, key }: { cert: string; key: string }): readonly [string, l7.Certificate] {
  return [name, create(l7.CertificateSchema, { name, chainPem: cert, keyPem: key })]
}

type Tls = MessageInitShape<typeof l7.TlsTerminationSchema>

function listener(
  name: string,
  at: { hostname?: string; port: number; protocol: l7.Protocol; tls?: Tls; policies?: string[] },
): readonly [string, l7.Listener] {
  const bound = { case: 'gateway' as const, value: { port: at.port, hostname: at.hostname ?? '' } }
  const backendClientCertificate = 'shop/client'
  const init = {
    name,
    protocol: at.protocol,
    bound,
    policies: at.policies ?? [],
    backendClientCertificate,
    ...(at.tls ? { tls: at.tls } : {}),
  }
  return [name, create(l7.ListenerSchema, init)]
}

const { TLS, UDP, HTTP, HTTPS } = l7.Protocol

/** A TLS server that says what it saw; with `ca`, it wants clients' certificates of that authority. */
async function tlsServer(own: { cert: string; key: string }, ca?: string): Promise<number> {
  const server = tls.createServer({ ...own, ...(ca ? { ca, requestCert: true, rejectUnauthorized: true } : {}) })
  server.on('secureConnection', (socket) => {
    const body = `client ${socket.getPeerX509Certificate()?.subjectAltName ?? 'none'}`
    socket.on('data', () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`))
    socket.on('error', () => {})
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  return (server.address() as AddressInfo).port
}

async function udpServer(name: string): Promise<number> {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (message, from) => socket.send(`${name}:${message}`, from.port, from.address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  closers.push(() => socket.close())
  return socket.address().port
}

beforeAll(async () => {
  const plain = await tcpBackend((socket) => socket.write('welcome\n'))
  closers.push(plain.close)
  const passed = await tlsServer(pair(root, 'passed.example'))
  const mutual = await tlsServer(pair(root, 'mutual.internal'), clients.certPem)
  world = await startWorld({ plain: [plain.port], passed: [passed], mutual: [mutual] }, [])
  const validation = (insecureFallback: boolean): Tls => ({
    certificates: ['shop/strict'],
    clientValidation: { caPem: clients.certPem, insecureFallback },
  })
  world.store.apply(
    'certificates',
    [
      certificate('shop/ended', pair(root, 'ended.example')),
      certificate('shop/second', pair(root, 'second.example')),
      certificate('shop/strict', pair(root, 'strict.example')),
      certificate('shop/client', pair(clients, 'gateway.client')),
    ],
    [],
  )
  world.store.apply(
    'listeners',
    [
      listener('passed', { hostname: 'passed.example', port: 8883, protocol: TLS }),
      listener('ended', { port: 8883, protocol: TLS, tls: { certificates: ['shop/ended', 'shop/second'] } }),
      listener('strict', { port: 443, protocol: HTTPS, tls: validation(false) }),
      listener('lenient', { port: 8443, protocol: HTTPS, tls: validation(true) }),
      listener('udp', { port: 5300, protocol: UDP }),
    ],
    [],
  )
  const backendTls = create(l7.BackendTlsSchema, {
    hostname: 'mutual.internal',
    caPem: root.certPem,
  })
  const mutual443 = { namespace: 'shop', hostname: hostname('mutual'), port: 80, tls: backendTls }
  world.store.apply(
    'tcpRoutes',
    [
      create(l7.TcpRouteSchema, { name: 'passed', parents: [{ listener: 'passed' }], backends: [to('passed')] }),
      create(l7.TcpRouteSchema, { name: 'ended', parents: [{ listener: 'ended' }], backends: [to('plain')] }),
    ].map((route) => [route.name, route] as const),
    [],
  )
  await world.setRoutes([
    {
      name: 'mutual',
      parents: [{ listener: 'strict' }, { listener: 'lenient' }],
      backends: [{ weight: 1, backend: { target: { case: 'service', value: mutual443 } } }],
    },
  ])
})

afterAll(async () => {
  await world.waypoint.close()
  for (const close of closers) close()
})

/** What the server says after `text`; rejects when the handshake or the connection fails before it says anything. */
async function ask(port: number, options: tls.ConnectionOptions, text: string): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: world.waypoint.gateway.boundPort(port)!,
    ca: root.certPem,
    ...options,
  })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  socket.once('error', reject)
  socket.once('data', (chunk) => resolve(String(chunk)))
  socket.once('close', () => reject(new Error('closed')))
  if (text !== '') socket.write(text)
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

const request = 'GET / HTTP/1.1\r\nHost: strict.example\r\nConnection: close\r\n\r\n'

describe('TLSRouteMixedTermination: one port, chosen by server name', () => {
  test('passed through: the certificate is the backend’s own', async () => {
    expect(await ask(8883, { servername: 'passed.example' }, 'x')).toContain('client none')
  })
  test('ended, with the certificate for the name; the server may speak first', async () => {
    expect(await ask(8883, { servername: 'ended.example' }, '')).toBe('welcome\n')
    expect(await ask(8883, { servername: 'second.example' }, '')).toBe('welcome\n')
  })
})

/** A client's first flight with NUL for the first dot of its server name. */
async function helloWithNul(): Promise<Buffer> {
  const [near, far] = duplexPair()
  const client = tls.connect({ socket: near, servername: 'ended.example' })
  client.on('error', () => {})
  const [hello] = (await once(far, 'data')) as [Buffer]
  client.destroy()
  hello[hello.indexOf('ended.example') + 'ended'.length] = 0
  return hello
}

test.each([8883, 443])('a server name with NUL costs its connection only (port %i)', async (port) => {
  const socket = net.connect(world.waypoint.gateway.boundPort(port)!, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume().write(await helloWithNul())
  await once(socket, 'close')
})

describe('GatewayFrontendClientCertificateValidation', () => {
  test('a client with a certificate of the authority is served, the backend sees the gateway’s', async () => {
    const answer = await ask(443, { servername: 'strict.example', ...pair(clients, 'someone') }, request)
    expect(answer).toContain('200 OK')
    expect(answer).toContain('client DNS:gateway.client')
  })
  test.each([
    ['none', {}],
    ['of another authority with the same name', pair(strangers, 'someone')],
  ])('a client certificate %s is refused', async (_, own) => {
    await expect(ask(443, { servername: 'strict.example', ...own }, request)).rejects.toThrow()
  })
  test('TLS 1.2 too', async () => {
    const old = { servername: 'strict.example', maxVersion: 'TLSv1.2' as const }
    await expect(ask(443, old, request)).rejects.toThrow()
    expect(await ask(443, { ...old, ...pair(clients, 'someone') }, request)).toContain('200 OK')
  })
  test('a session of a listener that asks for nothing is not resumed on one that does', async () => {
    const session = await new Promise<Buffer>((resolve, reject) => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: world.waypoint.gateway.boundPort(8443)!,
        ca: root.certPem,
        servername: 'strict.example',
      })
      socket.once('session', (ticket) => {
        resolve(ticket)
        socket.destroy()
      })
      socket.once('error', reject)
      socket.write(request)
    })
    await expect(ask(443, { servername: 'strict.example', session }, request)).rejects.toThrow()
  })
  test('AllowInsecureFallback serves everybody', async () => {
    expect(await ask(8443, { servername: 'strict.example' }, request)).toContain('200 OK')
    expect(await ask(8443, { servername: 'strict.example', ...pair(strangers, 'x') }, request)).toContain('200 OK')
  })
})

describe('UDPRoute', () => {
  async function askUdp(text: string): Promise<string | undefined> {
    const socket = dgram.createSocket('udp4')
    const answer = once(socket, 'message').then(([message]) => String(message))
    socket.send(text, world.waypoint.gateway.boundUdpPort(5300)!, '127.0.0.1')
    const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 300))
    const first = await Promise.race([answer, late])
    if (first !== undefined) {
      // The same flow stays with its endpoint.
      socket.send(text, world.waypoint.gateway.boundUdpPort(5300)!, '127.0.0.1')
      expect(await once(socket, 'message').then(([message]) => String(message))).toBe(first)
    }
    // Open until the end: who got its port again would be in its flow.
    closers.push(() => socket.close())
    return first
  }

  test('weights per flow, the oldest route wins, and nothing answers without a route', async () => {
    expect(await askUdp('x')).toBeUndefined()
    const address = parseIp('127.0.0.1')!
    const endpoint = async (name: string) => [{ address, port: await udpServer(name) }]
    const route = (name: string, createdUnixMs: bigint, backends: MessageInitShape<typeof l7.UdpBackendSchema>[]) =>
      create(l7.UdpRouteSchema, { name, parents: [{ listener: 'udp' }], precedence: { createdUnixMs }, backends })
    const old = route('old', 1n, [
      { weight: 3, endpoints: await endpoint('a') },
      { weight: 1, endpoints: await endpoint('b') },
    ])
    const young = route('young', 2n, [{ weight: 1, endpoints: await endpoint('c') }])
    world.store.apply(
      'udpRoutes',
      [
        ['young', young],
        ['old', old],
      ],
      [],
    )
    await world.waypoint.settled()
    const answers: Record<string, number> = {}
    for (let flow = 0; flow < 40; flow++) {
      const answer = (await askUdp('ping'))!
      answers[answer] = (answers[answer] ?? 0) + 1
    }
    expect(answers).toEqual({ 'a:ping': 30, 'b:ping': 10 })
    // A policy of the listener is one for datagrams, too; one that has not arrived lets nobody in.
    world.store.apply('listeners', [listener('udp', { port: 5300, protocol: UDP, policies: ['shop/guard'] })], [])
    await world.waypoint.settled()
    expect(await askUdp('ping')).toBeUndefined()
    const guard = (address: string) =>
      create(security.AuthorizationSchema, {
        name: 'guard',
        namespace: 'shop',
        scope: security.Scope.WORKLOAD_SELECTOR,
        action: security.Action.DENY,
        rules: [{ clauses: [{ matches: [{ sourceIps: [{ address: parseIp(address)!, length: 32 }] }] }] }],
      })
    world.state.applyAuthorizations({ authorizations: [['shop/guard', guard('127.0.0.1')]], removed: [] })
    expect(await askUdp('ping')).toBeUndefined()
    world.state.applyAuthorizations({ authorizations: [['shop/guard', guard('10.0.0.1')]], removed: [] })
    expect(await askUdp('ping')).toMatch(/ping/)
  })
})

test('a UDP port that somebody has is opened when it is free', async () => {
  const other = dgram.createSocket('udp4')
  other.bind(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address()
  const late = await startWorld({}, [], { bindPort: (wanted) => (wanted === 5301 ? port : 0) })
  closers.push(() => void late.waypoint.close())
  late.store.apply('listeners', [listener('late', { port: 5301, protocol: UDP })], [])
  await late.waypoint.settled()
  expect(late.waypoint.gateway.failed.get('5301/udp')).toContain('EADDRINUSE')
  other.close()
  await expect.poll(() => late.waypoint.gateway.boundUdpPort(5301), { timeout: 4_000 }).toBe(port)
  expect(late.waypoint.gateway.failed.size).toBe(0)
})

test('a UDP port that is wanted twice at once is open, and has not failed', async () => {
  const other = dgram.createSocket('udp4')
  other.bind(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address()
  await new Promise<void>((resolve) => other.close(() => resolve()))
  const twice = await startWorld({}, [], { bindPort: (wanted) => (wanted === 5302 ? port : 0) })
  closers.push(() => void twice.waypoint.close())
  twice.store.apply('listeners', [listener('twice', { port: 5302, protocol: UDP })], [])
  twice.store.flush()
  await Promise.all([twice.waypoint.gateway.reconcile(), twice.waypoint.gateway.reconcile(), twice.waypoint.settled()])
  expect(twice.waypoint.gateway.boundUdpPort(5302)).toBe(port)
  expect(twice.waypoint.gateway.failed.size).toBe(0)
})

test('a port at which one connection could not be accepted stays open, and is closed when nobody wants it', async () => {
  const createServer = vi.spyOn(net, 'createServer')
  const late = await startWorld({}, [])
  closers.push(() => void late.waypoint.close())
  const server = createServer.mock.results.map(({ value }) => value as net.Server).find((one) => one.listening)!
  createServer.mockRestore()
  // accept(2) passes on what the network says of a connection that is no more.
  server.emit('error', Object.assign(new Error('accept ENETDOWN'), { code: 'ENETDOWN' }))
  expect(late.waypoint.gateway.failed.size).toBe(0)
  expect(late.waypoint.gateway.boundPort(8080)).toBe(late.port)
  late.store.apply('listeners', [], ['gateway/shop/gw/http'])
  await late.waypoint.settled()
  expect(server.listening).toBe(false)
})

test('ports that somebody has are tried again once at a time, however often the configuration changes', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  closers.push(() => void taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as net.AddressInfo
  const other = dgram.createSocket('udp4')
  closers.push(() => void other.close())
  other.bind(0, '127.0.0.1')
  await once(other, 'listening')
  const ports: Readonly<Record<number, number>> = { 5303: other.address().port, 5304: port }
  const late = await startWorld({}, [], { bindPort: (wanted) => ports[wanted] ?? 0 })
  closers.push(() => void late.waypoint.close())
  const listeners = [listener('udp', { port: 5303, protocol: UDP }), listener('tcp', { port: 5304, protocol: HTTP })]
  late.store.apply('listeners', listeners, [])
  await late.waypoint.settled()
  for (let change = 0; change < 10; change++) await late.waypoint.gateway.reconcile()
  expect(new Set(late.waypoint.gateway.failed.keys())).toEqual(new Set(['5303/udp', 5304]))
  const tries = [vi.spyOn(net, 'createServer'), vi.spyOn(dgram, 'createSocket')]
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  const counts = tries.map(({ mock }) => mock.calls.length)
  for (const one of tries) one.mockRestore()
  for (const count of counts) expect(count).toBeLessThan(4)
})
