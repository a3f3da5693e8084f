// HTTPS and TCP listeners of a gateway.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import { create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import { issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, echo, tcpBackend } from './servers.ts'

const root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
let world: World
const open: Backend[] = []

function certificate(name: string, ...dnsSans: string[]): readonly [string, l7.Certificate] {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const chainPem = issueLeaf({ publicKey, dnsSans, ttlSeconds: 3600, signer: root }).pem
  const keyPem = (privateKey as KeyObject).export({ format: 'pem', type: 'pkcs8' }) as string
  return [name, create(l7.CertificateSchema, { name, chainPem, keyPem })]
}

function listener(name: string, hostname: string, port: number, protocol: l7.Protocol): readonly [string, l7.Listener] {
  const tlsPart = protocol === l7.Protocol.HTTPS ? { tls: { certificates: [`shop/${name}`] } } : {}
  const bound = { case: 'gateway' as const, value: { port, hostname } }
  return [name, create(l7.ListenerSchema, { name, protocol, bound, ...tlsPart })]
}

beforeAll(async () => {
  const app = await echo('app')
  const first = await tcpBackend((socket) => socket.end('first'))
  const second = await tcpBackend((socket) => socket.end('second'))
  open.push(app, first, second)
  world = await startWorld({ app: [app.port], first: [first.port], second: [second.port] }, [])
  world.store.apply(
    'certificates',
    [certificate('shop/one', 'one.example'), certificate('shop/wild', '*.wild.example')],
    [],
  )
  world.store.apply(
    'listeners',
    [
      listener('one', 'one.example', 443, l7.Protocol.HTTPS),
      listener('wild', '*.wild.example', 443, l7.Protocol.HTTPS),
      listener('tcp', '', 9000, l7.Protocol.TCP),
    ],
    [],
  )
  const parents = [{ listener: 'tcp' }]
  const tcpRoute = create(l7.TcpRouteSchema, {
    name: 'TCPRoute/shop/t/0',
    parents,
    backends: [to('first', 3), to('second', 1)],
  })
  world.store.apply('tcpRoutes', [[tcpRoute.name, tcpRoute]], [])
  await world.setRoutes([
    { name: 'HTTPRoute/shop/r/0', parents: [{ listener: 'one' }, { listener: 'wild' }], backends: [to('app')] },
  ])
})

afterAll(async () => {
  await world.waypoint.close()
  for (const one of open) one.close()
})

async function get(servername: string, authority: string, alpn: string): Promise<{ status: number; body: string }> {
  const port = world.waypoint.gateway.boundPort(443)!
  const socket = tls.connect({ port, host: '127.0.0.1', servername, ca: root.certPem, ALPNProtocols: [alpn] })
  await new Promise((resolve, reject) =>
    socket
      .once('secureConnect', resolve)
      .once('error', reject)
      .once('close', () => reject(new Error('closed'))),
  )
  expect(socket.alpnProtocol).toBe(alpn)
  if (alpn === 'h2') {
    const session = http2.connect(`https://${servername}`, { createConnection: () => socket })
    const stream = session.request({ ':path': '/', ':authority': authority })
    let body = ''
    stream.on('data', (chunk) => {
      body += chunk
    })
    const status = await new Promise<number>((resolve) =>
      stream.on('response', (headers) => resolve(headers[':status'] ?? 0)),
    )
    await new Promise((resolve) => stream.once('close', resolve))
    session.destroy()
    return { status, body }
  }
  socket.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += chunk
  return { status: Number(text.slice(9, 12)), body: text.slice(text.indexOf('\r\n\r\n') + 4) }
}

test('HTTPRouteHTTPSListener: certificate by server name, h2 and HTTP/1.1 by ALPN', async () => {
  for (const alpn of ['h2', 'http/1.1']) {
    const answer = await get('one.example', 'one.example', alpn)
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('"x-forwarded-proto":"https"')
    expect((await get('a.wild.example', 'b.wild.example', alpn)).status).toBe(200)
    expect((await get('one.example', 'a.wild.example', alpn)).status).toBe(421)
    expect((await get('one.example', 'unknown.example', alpn)).status).toBe(404)
  }
})

test('a server name that nothing listens for is closed without an alert', async () => {
  await expect(get('unknown.example', 'unknown.example', 'h2')).rejects.toMatchObject({ code: 'ECONNRESET' })
})

test('what is not TLS is closed and logged', async () => {
  const socket = net.connect(world.waypoint.gateway.boundPort(443)!, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\n\r\n')
  await new Promise((resolve) => socket.resume().once('close', resolve))
  expect(world.log.some((line) => line.includes('does not speak TLS'))).toBe(true)
})

test('TCPRoute: the server may speak first; weights per connection', async () => {
  const port = world.waypoint.gateway.boundPort(9000)!
  const counts: Record<string, number> = {}
  for (let i = 0; i < 40; i++) {
    let text = ''
    for await (const chunk of net.connect(port, '127.0.0.1')) text += chunk
    counts[text] = (counts[text] ?? 0) + 1
  }
  expect(counts).toEqual({ first: 30, second: 10 })
})

test('whose first listener comes after the start reports as any gateway', async () => {
  const app = await echo('late')
  const late = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], { listenerLater: true })
  try {
    expect((await fetch(`http://127.0.0.1:${late.port}/`)).status).toBe(200)
    expect(await late.metrics.text()).toMatch(/istio_requests_total\{reporter="source",/)
  } finally {
    await late.waypoint.close()
    app.close()
  }
})

test('a client that hangs up after its handshake is not refused, nor noticed much', async () => {
  const port = world.waypoint.gateway.boundPort(443)!
  const refused = async () =>
    Number(/refused_total\{reason="tls"\} (\d+)/.exec(await world.metrics.registry.metrics())?.[1] ?? 0)
  const before = await refused()
  const logged = world.log.length
  for (const bytes of ['', 'GET / HTTP/1.1\r\n', 'GET / HTTP/1.1\r\nHost: one.example\r\n\r\n']) {
    const tcp = net.connect(port, '127.0.0.1')
    const secure = tls.connect({ socket: tcp, servername: 'one.example', ca: root.certPem })
    secure.on('error', () => {})
    await new Promise((resolve) => secure.once('secureConnect', resolve))
    // The server has it too when it has said something.
    await new Promise((resolve) => secure.once('session', resolve))
    secure.write(bytes)
    await new Promise((resolve) => setTimeout(resolve, 30))
    tcp.resetAndDestroy()
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  expect(await refused()).toBe(before)
  expect(world.log.slice(logged).filter((line) => /\t(?:info|warn|error)\twaypoint\t/.test(line))).toEqual([])
})
