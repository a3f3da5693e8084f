// A gateway faces the internet: clients that waste its time and memory are cut and counted, and the others are served.
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultLimits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, echo, raw, tcpBackend } from './servers.ts'

let world: World
let app: Backend
let endless: Backend

const limits = {
  ...defaultLimits,
  maxConnections: 50,
  maxHeaderBytes: 16_384,
  maxConcurrentStreams: 20,
  headersTimeoutMs: 300,
  stallTimeoutMs: 300,
  idleTimeoutMs: 500,
}

beforeEach(async () => {
  app = await echo('app')
  endless = await tcpBackend((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
    const chunk = Buffer.alloc(65_536)
    const write = () => {
      while (!socket.destroyed && socket.write(chunk));
    }
    socket.on('drain', write)
    write()
  })
  const path = { kind: { case: 'exact' as const, value: '/endless' } }
  world = await startWorld(
    { app: [app.port], endless: [endless.port] },
    [
      { matches: [{ path }], backends: [to('endless')] },
      { matches: [{ path: { kind: { case: 'exact', value: '/none' } } }], name: 'no backend' },
      { name: 'other', backends: [to('app')] },
    ],
    { limits },
  )
})

afterEach(async () => {
  await world.waypoint.close()
  app.close()
  endless.close()
})

async function refusals(reason: string): Promise<number> {
  const text = await world.metrics.registry.metrics()
  return Number(new RegExp(`wishbone_refused_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}

const served = async () => expect((await ask(world.port)).status).toBe(200)

/** A connection whose end is awaited with `closed`. */
function connect(): { socket: net.Socket; closed: Promise<unknown>; received: () => string } {
  const socket = net.connect(world.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  return { socket, closed: once(socket, 'close').catch(() => {}), received: () => text }
}

describe('HTTP/1.1', () => {
  test('slow headers', async () => {
    const { socket, closed, received } = connect()
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n')
    const drip = setInterval(() => socket.write('X-A: b\r\n'), 50)
    await closed
    clearInterval(drip)
    expect(received()).toMatch(/^HTTP\/1.1 408/)
    expect(await refusals('slow-headers')).toBe(1)
    await served()
  })

  test.each([
    ['that is short', 'Content-Length: 10\r\n\r\nabc'],
    ['that is long', 'Content-Length: 100000\r\n\r\nabc'],
    ['of chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ])('a body %s stops', async (_what, bytes) => {
    const { socket, closed, received } = connect()
    socket.write(`POST / HTTP/1.1\r\nHost: h\r\n${bytes}`)
    await closed
    expect(received()).toMatch(/^HTTP\/1.1 408 .*connection: close\r\n/is)
    expect(received().match(/^HTTP/gm)).toHaveLength(1)
    expect(await refusals('stalled')).toBe(1)
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 408, reason: 'client-stalled' }])
    expect(world.waypoint.active).toBe(0)
    expect(world.waypoint.gateway.connections).toBe(0)
  })

  test('a body that goes on slowly', async () => {
    const slow = connect()
    slow.socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\nConnection: close\r\n\r\n')
    for (let sent = 0; sent < 8; sent++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      slow.socket.write('x')
    }
    await slow.closed
    expect(slow.received()).toContain('xxxxxxxx')
    expect(await refusals('stalled')).toBe(0)
  })

  test('a client that does not take its answer', async () => {
    const socket = net.connect(world.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    socket.write('GET /endless HTTP/1.1\r\nHost: h\r\n\r\n')
    const before = process.memoryUsage().rss
    await expect.poll(() => refusals('stalled'), { timeout: 5_000 }).toBe(1)
    expect(process.memoryUsage().rss - before).toBeLessThan(128 << 20)
    socket.destroy()
    await served()
  })

  test.each([
    ['', 0],
    ['PRI * HTTP/2.0\r\n', 1],
    ['GET', 1],
    ['GET /', 1],
  ])('a client that says "%s" and no more', async (bytes, refused) => {
    const { socket, closed, received } = connect()
    if (bytes !== '') socket.write(bytes)
    const started = Date.now()
    await closed
    expect(Date.now() - started).toBeLessThan(2_000)
    expect(received()).toMatch(refused === 0 ? /^$/ : /^HTTP\/1.1 408/)
    expect(await refusals('slow-headers')).toBe(refused)
  })

  test.each([
    ['alone', 'GET / HTTP/2.0\r\nHost: h\r\n\r\n', /^HTTP\/1.1 505/],
    ['with a body', 'POST / HTTP/2.0\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc', /^HTTP\/1.1 505/],
    ['to upgrade', 'GET / HTTP/2.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', /^HTTP\/1.1 505/],
    [
      'behind another',
      'GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/2.0\r\nHost: h\r\n\r\n',
      /^HTTP\/1.1 200[\s\S]*HTTP\/1.1 505/,
    ],
  ])('a request line of HTTP/2, %s', async (_what, bytes, answer) => {
    const { socket, closed, received } = connect()
    socket.write(bytes)
    await closed
    expect(received()).toMatch(answer)
    expect(await refusals('bad-request')).toBe(1)
  })

  test('what follows an early answer is read for a while, and then the connection ends', async () => {
    const { socket, closed, received } = connect()
    socket.write('POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n')
    const drip = setInterval(() => socket.write('x'), 50)
    await closed
    clearInterval(drip)
    expect(received()).toMatch(/^HTTP\/1.1 500/)
  })

  test('a client that reads only when it has sent everything gets its early answer', async () => {
    const { socket, received } = connect()
    socket.pause()
    const length = 8 << 20
    socket.write(`POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n`)
    // At once, and then in pieces, so that it is answered in between.
    for (let sent = 0; sent < length; sent += 1 << 20) {
      await new Promise((resolve) => socket.write(Buffer.alloc(1 << 20), resolve))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    socket.resume()
    await expect.poll(received).toMatch(/^HTTP\/1.1 500/)
    // All of it was read, and the connection goes on.
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
    await expect.poll(received).toContain('HTTP/1.1 200')
  })

  test('idle connections end', async () => {
    const { socket, closed, received } = connect()
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
    await closed
    expect(received()).toMatch(/^HTTP\/1.1 200/)
  })

  test.each([
    ['a header', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['many headers', `GET / HTTP/1.1\r\nHost: h\r\n${'X-Y: 12345678\r\n'.repeat(2_000)}\r\n`],
    ['a URI', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: h\r\n\r\n`],
  ])('%s over the limit', async (_, bytes) => {
    expect(await raw(world.port, bytes)).toMatch(/^HTTP\/1.1 431/)
    expect(await refusals('headers-too-large')).toBe(1)
    await served()
  })

  test('too many connections are reset; those that are open go on', async () => {
    const open = Array.from({ length: 50 }, connect)
    await Promise.all(open.map(({ socket }) => once(socket, 'connect')))
    const late = connect()
    await late.closed
    expect(await refusals('too-many-connections')).toBe(1)
    open[0]!.socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
    await expect.poll(() => open[0]!.received()).toMatch(/^HTTP\/1.1 200/)
    for (const { socket } of open) socket.destroy()
    await expect
      .poll(() =>
        ask(world.port).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200)
  })
})

describe('paths reach the backend as they are written', () => {
  const paths = [
    '/a/../b',
    '/a/./b',
    '//a',
    '/%2e%2e/b',
    '/a%2Fb',
    '/a%252e',
    '/..;/b',
    '/a\\b',
    '/?x=/../y',
    '/%00',
    '/%zz',
  ]
  test.each(paths)('%s', async (path) => {
    expect(JSON.parse((await ask(world.port, { path })).body).url).toBe(path)
  })
})
