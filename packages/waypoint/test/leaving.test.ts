// Clients that go away while nothing is read from them: what runs for them ends soon, whatever is left unread.
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'
import { create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import { issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, tcpBackend } from './servers.ts'

const root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
let world: World
let backend: Backend
/** What the backend gets, and sends first. It never ends anything by itself. */
let taken: Taken[]
/** To the first line of a request. */
let answers: Readonly<Record<string, string>>
let reads: boolean

interface Taken {
  readonly socket: net.Socket
  text: string
}

const firstLine = ({ text }: Taken) => text.slice(0, text.indexOf('\r\n'))

beforeEach(async () => {
  taken = []
  answers = {}
  reads = true
  backend = await tcpBackend((socket) => {
    const one: Taken = { socket, text: '' }
    taken.push(one)
    socket.on('data', (chunk) => {
      one.text += chunk.toString('latin1')
    })
    if (!reads) socket.pause()
    socket.once('data', () => socket.write(answers[firstLine(one)] ?? ''))
    socket.on('end', () => socket.destroy())
  })
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app')] }])
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const chainPem = issueLeaf({ publicKey, dnsSans: ['h'], ttlSeconds: 3600, signer: root }).pem
  const keyPem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
  const certificate = create(l7.CertificateSchema, { name: 'shop/h', chainPem, keyPem })
  const listener = create(l7.ListenerSchema, {
    name: 'secure',
    protocol: l7.Protocol.HTTPS,
    bound: { case: 'gateway', value: { port: 443, hostname: '' } },
    tls: { certificates: ['shop/h'] },
  })
  world.store.apply('certificates', [[certificate.name, certificate]], [])
  world.store.apply('listeners', [[listener.name, listener]], [])
  await world.setRoutes([
    { name: 'plain', backends: [to('app')] },
    { name: 'secure', parents: [{ listener: 'secure' }], backends: [to('app')] },
  ])
})

afterEach(async () => {
  await world.waypoint.close()
  backend.close()
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`
const upgrade = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`

interface Client {
  readonly below: net.Socket
  readonly socket: net.Socket
}

function connectPlain(): Client {
  const socket = net.connect({ port: world.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  return { below: socket.resume(), socket }
}

async function connectTls(): Promise<Client> {
  const port = world.waypoint.gateway.boundPort(443)!
  const below = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  const socket = tls.connect({ socket: below, servername: 'h', ca: root.certPem, ALPNProtocols: ['http/1.1'] })
  socket.on('error', () => {}).resume()
  await once(socket, 'secureConnect')
  return { below, socket }
}

/** The client's process ends in the order of TCP; it says that it sends no more and still listens; it resets. */
const ways: readonly (readonly [way: string, (client: Client) => void])[] = [
  ['closes', ({ socket }) => void socket.destroy()],
  ['closes its side', ({ socket }) => void socket.end()],
  ['resets', ({ below }) => void below.resetAndDestroy()],
]

/** Each begins with a request of its own path. */
const situations: readonly string[] = [
  get('/request'),
  get('/waiting') + get('/never') + get('/never'),
  `${get('/half')}GET /never HTT`,
  `${get('/garbage')}garbage\r\n\r\n`,
  get('/answer') + get('/never'),
  upgrade('/upgrade'),
  upgrade('/frames') + 'frames'.repeat(5_000),
  upgrade('/declined'),
]

/** Well before any of the proxy's own timeouts. */
async function expectAllGone(count: number): Promise<void> {
  await expect
    .poll(() => taken.filter(({ socket }) => !socket.destroyed).map(firstLine), { timeout: 4_000 })
    .toEqual([])
  await expect.poll(() => world.waypoint.gateway.connections).toBe(0)
  await expect.poll(() => world.accessLog).toHaveLength(count)
  expect(new Set(world.accessLog.map(({ reason }) => reason))).toEqual(new Set(['client-closed']))
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.each([
  ['over TCP', async () => connectPlain()],
  ['over TLS', connectTls],
])('%s', (_over, connect) => {
  test.each(ways)('whoever %s is missed', async (_way, leave) => {
    answers = {
      'GET /answer HTTP/1.1': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
      'GET /declined HTTP/1.1': 'HTTP/1.1 200 OK\r\n\r\nhalf',
    }
    let halves = 0
    const clients: Client[] = []
    for (const bytes of situations) {
      const client = await connect()
      client.socket.on('data', (chunk) => {
        if (String(chunk).includes('half')) halves++
      })
      client.socket.write(bytes)
      clients.push(client)
    }
    await expect.poll(() => taken.filter(({ text }) => text.includes('\r\n\r\n'))).toHaveLength(situations.length)
    await expect.poll(() => halves).toBe(2)
    await pause(50)
    for (const client of clients) leave(client)
    await expectAllGone(situations.length)
    expect(taken.some(({ text }) => text.includes('/never'))).toBe(false)
  })
})

test('who resets in an upload that the backend does not read is missed', async () => {
  reads = false
  const { socket } = connectPlain()
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n')
  const piece = Buffer.alloc(1 << 20)
  const write = () => {
    while (socket.bytesWritten < 90_000_000 && socket.write(piece));
  }
  socket.on('drain', write)
  write()
  await expect.poll(() => taken).toHaveLength(1)
  await pause(300)
  expect(socket.writableLength).toBeGreaterThan(0)
  socket.resetAndDestroy()
  await expect.poll(() => world.waypoint.gateway.connections, { timeout: 4_000 }).toBe(0)
  taken[0]!.socket.resume()
  await expectAllGone(1)
})

/** Bytes of this client that the kernel keeps at the other end. */
function unread(client: net.Socket): number {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const [port, there] = [hex(client.localPort!), hex(client.remotePort!)]
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, local, remote, , queues] = line.trim().split(/\s+/)
    if (local?.endsWith(there) && remote?.endsWith(port)) return Number.parseInt(queues!.split(':')[1]!, 16)
  }
  return 0
}

test('who closes its side of a WebSocket that was answered is still sent to', { timeout: 20_000 }, async () => {
  answers = {
    'GET / HTTP/1.1': 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  }
  const { socket } = connectPlain()
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(upgrade('/'))
  await expect.poll(() => text).toContain('101')
  const one = taken[0]!
  one.socket.removeAllListeners('end').pause()
  // Until something of it stays unread for a while.
  const piece = Buffer.alloc(262_144)
  let pieces = 0
  for (let quiet = 0; quiet < 5; await pause(10)) {
    if (unread(socket) > 0) quiet++
    else {
      quiet = 0
      pieces++
      socket.write(piece)
    }
  }
  socket.end()
  await pause(2_500)
  one.socket.write('bye')
  await expect.poll(() => text).toContain('bye')
  one.socket.resume()
  await once(one.socket, 'end')
  expect(one.text.length).toBeGreaterThan(pieces * piece.length)
})
