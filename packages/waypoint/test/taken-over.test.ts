// Requests at which node's HTTP server gives the connection away, CONNECT and Upgrade, behind answers that are not taken yet.
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, httpBackend } from './servers.ts'

let world: World
const open: { close: () => void }[] = []

afterEach(async () => {
  await world.waypoint.close()
  for (const one of open.splice(0)) one.close()
})

async function portTo(backend: Backend): Promise<number> {
  open.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app')] }])
  return world.port
}

interface Client {
  readonly socket: net.Socket
  readonly received: () => string
}

function connect(port: number): Client {
  const socket = net.connect(port, '127.0.0.1')
  open.push({ close: () => socket.destroy() })
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  return { socket, received: () => Buffer.concat(chunks).toString('latin1') }
}

const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'
const upgradeTo = (protocol: string) =>
  `GET /next HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`
const connectRequest = 'CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n'

/** Many times what the buffers of a loopback connection take. */
const pieces = 300
const piece = 'x'.repeat(65_536)

/** Its answers to "/" are large, and come as fast as they are taken. */
async function largeBackend(): Promise<{ backend: Backend; upgrades: unknown[]; openAnswers: () => number }> {
  const upgrades: unknown[] = []
  let openAnswers = 0
  const backend = await httpBackend((request, response) => {
    if (request.url !== '/') {
      upgrades.push(request.headers.upgrade)
      return void response.end('<next>')
    }
    openAnswers++
    response.once('close', () => openAnswers--)
    response.writeHead(200, { 'content-length': pieces * piece.length })
    let left = pieces
    const write = () => {
      while (left > 0) {
        left--
        if (!response.write(piece)) return
      }
      response.end()
    }
    response.on('drain', write)
    write()
  })
  return { backend, upgrades, openAnswers: () => openAnswers }
}

test.each([
  ['a WebSocket', upgradeTo('websocket'), /<next>$/],
  ['another upgrade', upgradeTo('h2c'), /<next>$/],
  ['a CONNECT', connectRequest, /HTTP\/1.1 405 .*\r\n\r\n$/s],
])(
  '%s behind a large answer does not stop it, and is answered after it',
  async (_what, next, last) => {
    const { backend, upgrades } = await largeBackend()
    const { socket, received } = connect(await portTo(backend))
    socket.write(get + next)
    await expect.poll(() => socket.readyState, { timeout: 10_000 }).toBe('closed')
    expect(received().length).toBeGreaterThan(pieces * piece.length)
    expect(received()).toMatch(last)
    // A backend that was not asked to switch cannot.
    expect(upgrades.filter((protocol) => protocol !== undefined)).toEqual([])
  },
  15_000,
)

test.each([
  ['a WebSocket', upgradeTo('websocket')],
  ['a CONNECT', connectRequest],
  ['another answer and a CONNECT', get + connectRequest],
])('a client that leaves with %s behind a large answer leaves nothing open', async (_what, next) => {
  const { backend, openAnswers } = await largeBackend()
  const port = await portTo(backend)
  for (const leave of [(socket: net.Socket) => socket.resetAndDestroy(), (socket: net.Socket) => socket.destroy()]) {
    const { socket } = connect(port)
    socket.pause()
    socket.write(get + next)
    await expect.poll(openAnswers).toBe(1)
    leave(socket)
    await expect.poll(openAnswers, { timeout: 3_000 }).toBe(0)
  }
})

const done = get.replace('/', '/done')

test.each([
  ['a WebSocket', get + upgradeTo('websocket')],
  ['a CONNECT', get + connectRequest],
  ['another request and a CONNECT', get + get + connectRequest],
  ['a CONNECT, and an earlier answer,', done + get + connectRequest],
])('a client that leaves with %s behind an answer that stands still leaves nothing open', async (_what, bytes) => {
  let openAnswers = 0
  const backend = await httpBackend((request, response) => {
    if (request.url === '/done') return void response.end('<done>')
    openAnswers++
    response.once('close', () => openAnswers--)
    response.write('part')
  })
  const port = await portTo(backend)
  const ways: readonly ((socket: net.Socket) => void)[] = [
    (socket) => socket.resetAndDestroy(),
    (socket) => void socket.destroy(),
    (socket) => void socket.end(),
  ]
  for (const leave of ways) {
    const { socket, received } = connect(port)
    socket.write(bytes)
    // All of it was taken: no write will fail.
    await expect.poll(received).toContain('part')
    leave(socket)
    await expect.poll(() => openAnswers, { timeout: 3_000 }).toBe(0)
    await expect.poll(() => world.waypoint.gateway.connections).toBe(0)
  }
})

test('a client whose WebSocket is declined may not keep its side open', async () => {
  const { backend } = await largeBackend()
  const socket = net.connect({ port: await portTo(backend), host: '127.0.0.1', allowHalfOpen: true })
  open.push({ close: () => socket.destroy() })
  let failed = false
  socket.on('error', () => {
    failed = true
  })
  socket.resume()
  socket.write(upgradeTo('websocket'))
  await expect.poll(() => socket.readableEnded).toBe(true)
  // Where the other side is closed for good, it resets who still sends.
  const timer = setInterval(() => socket.write('x'), 100)
  await expect.poll(() => failed, { timeout: 4_000 }).toBe(true)
  clearInterval(timer)
})
