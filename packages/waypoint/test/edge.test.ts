// A gateway faces the internet: clients that waste its time and memory are cut and counted, and the others are served.
import { once } from 'node:events'
import http2 from 'node:http2'
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

  test('a body that stops, and one that goes on slowly', async () => {
    const { socket, closed } = connect()
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc')
    await closed
    expect(await refusals('stalled')).toBe(1)
    const slow = connect()
    slow.socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\nConnection: close\r\n\r\n')
    for (let sent = 0; sent < 8; sent++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      slow.socket.write('x')
    }
    await slow.closed
    expect(slow.received()).toContain('xxxxxxxx')
    expect(await refusals('stalled')).toBe(1)
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

  test.each(['', 'PRI * HTTP/2.0\r\n'])('a client that says "%s" and no more', async (bytes) => {
    const { socket, closed } = connect()
    if (bytes !== '') socket.write(bytes)
    const started = Date.now()
    await closed
    expect(Date.now() - started).toBeLessThan(4_000)
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

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

function literal(name: string, value: string): Buffer {
  const length = Buffer.from(
    value.length < 127
      ? [value.length]
      : [127, 128 | ((value.length - 127) % 128), Math.floor((value.length - 127) / 128)],
  )
  return Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), length, Buffer.from(value)])
}

const requestBlock = Buffer.concat(
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'h'],
  ].map(([name, value]) => literal(name!, value!)),
)

/** Writes batches until the gateway closes or all are written; the gateway must go on serving others meanwhile. */
async function flood(batch: (round: number) => Buffer, rounds: number): Promise<{ closed: boolean }> {
  const { socket, closed } = connect()
  let isClosed = false
  void closed.then(() => {
    isClosed = true
  })
  const before = process.memoryUsage().rss
  socket.write(Buffer.concat([preface, frame(4, 0, 0)]))
  for (let round = 0; round < rounds && !isClosed; round++) {
    if (!socket.write(batch(round))) await Promise.race([once(socket, 'drain').catch(() => {}), closed])
    if (round % 20 === 0) await served()
  }
  await served()
  expect(process.memoryUsage().rss - before).toBeLessThan(192 << 20)
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 300))])
  socket.destroy()
  return { closed: isClosed }
}

describe('HTTP/2', () => {
  test('rapid reset costs the connection', { timeout: 60_000 }, async () => {
    const reset = Buffer.alloc(4)
    reset.writeUInt32BE(8)
    const { closed } = await flood((round) => {
      const ids = Array.from({ length: 100 }, (_, index) => 1 + 2 * (round * 100 + index))
      return Buffer.concat(ids.flatMap((id) => [frame(1, 5, id, requestBlock), frame(3, 0, id, reset)]))
    }, 100)
    expect(closed).toBe(true)
    expect(await refusals('http2-error')).toBe(1)
  })

  test('CONTINUATION without end costs the connection', async () => {
    const more = Buffer.concat(
      Array.from({ length: 50 }, () =>
        frame(9, 0, 1, Buffer.concat(Array(20).fill(literal('x-more', 'y'.repeat(100))))),
      ),
    )
    const { closed } = await flood(
      (round) => (round === 0 ? Buffer.concat([frame(1, 0, 1, requestBlock), more]) : more),
      200,
    )
    expect(closed).toBe(true)
  })

  test('SETTINGS and PING floods starve nobody', async () => {
    const settings = Buffer.concat(Array.from({ length: 500 }, () => frame(4, 0, 0)))
    await flood(() => settings, 60)
    const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(6, 0, 0, Buffer.alloc(8))))
    await flood(() => pings, 60)
  })

  test('a few bytes that unpack to many are refused', async () => {
    // One large entry in the dynamic table, then 16,000 references to it in a block of 16 KiB.
    const entry = Buffer.concat([
      Buffer.of(0x40, 1),
      Buffer.from('x'),
      Buffer.of(127, 128 | ((3_000 - 127) % 128), Math.floor((3_000 - 127) / 128)),
      Buffer.alloc(3_000, 'a'),
    ])
    const bomb = Buffer.concat([requestBlock, entry, Buffer.alloc(12_000, 0xbe)])
    await flood((round) => frame(1, 5, 1 + 2 * round, bomb), 50)
    expect(world.accessLog.some(({ request_bytes: bytes }) => Number(bytes) > 0)).toBe(false)
  })

  test('a client that hangs up holds no place', async () => {
    for (let round = 0; round < 60; round++) {
      const { socket, closed, received } = connect()
      socket.write(Buffer.concat([preface, frame(4, 0, 0), frame(1, 5, 1, requestBlock)]))
      await expect.poll(received).toContain('app')
      socket.end()
      await closed
    }
    expect(await refusals('too-many-connections')).toBe(0)
  })

  test('more streams than allowed are refused, and the allowed ones served', async () => {
    const session = http2.connect(`http://127.0.0.1:${world.port}`)
    await once(session, 'remoteSettings')
    expect(session.remoteSettings.maxConcurrentStreams).toBe(20)
    const statuses = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const stream = session.request({ ':path': '/' })
        stream.on('error', () => {})
        stream.resume()
        const [headers] = await once(stream, 'response')
        return headers[':status']
      }),
    )
    expect(new Set(statuses)).toEqual(new Set([200]))
    session.destroy()
  })

  test('a stream that opens no window for its answer is cut, while its connection lives', {
    timeout: 60_000,
  }, async () => {
    const session = http2.connect(`http://127.0.0.1:${world.port}`, { settings: { initialWindowSize: 0 } })
    session.on('error', () => {})
    const stream = session.request({ ':path': '/endless' })
    stream.on('error', () => {})
    const keepAlive = setInterval(() => session.destroyed || session.ping(() => {}), 50)
    await expect.poll(() => refusals('stalled'), { timeout: 5_000 }).toBe(1)
    clearInterval(keepAlive)
    expect(session.destroyed).toBe(false)
    session.destroy()
    await served()
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
