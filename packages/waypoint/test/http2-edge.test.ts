// The HTTP/2 side of a gateway that faces the internet: what is malformed gets to no backend, and clients that are silent in
// the middle of something are cut by the same settings as those of HTTP/1.
import type { ServerHttp2Stream } from 'node:http2'
import net from 'node:net'
import { encodeFrame, encodePing, encodeWindowUpdate, flags, frameTypes, preface } from '@wishbone/core/h2'
import { l7 } from '@wishbone/proto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultLimits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { block, connectHttp2, data, type Field, get, type Http2Client, headers, post } from './http2-client.ts'
import { type Backend, http2Backend, httpBackend, tcpBackend } from './servers.ts'

let world: World
let seen: string[]
let endlessBytes: number
let backends: Backend[]
let conversation: ((stream: ServerHttp2Stream) => void) | undefined
const clients: Http2Client[] = []

const limits = { ...defaultLimits, headersTimeoutMs: 300, stallTimeoutMs: 300, idleTimeoutMs: 600 }

beforeEach(async () => {
  seen = []
  endlessBytes = 0
  const app = await httpBackend((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${body}`)
      if (request.headers['x-large'] !== undefined) response.setHeader('x-large', 'y'.repeat(60_000))
      setTimeout(
        () => response.end(JSON.stringify({ ...request.headers, ...request.trailers })),
        Number(request.headers['x-wait-ms'] ?? 0),
      )
    })
  })
  const endless = await tcpBackend((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
    const chunk = Buffer.alloc(65_536)
    const write = () => {
      do endlessBytes += chunk.length
      while (!socket.destroyed && socket.write(chunk))
    }
    socket.on('drain', write)
    write()
  })
  const talker = await http2Backend((stream) => conversation?.(stream))
  backends = [app, endless, talker]
  const path = (value: string) => ({ path: { kind: { case: 'exact' as const, value } } })
  world = await startWorld(
    { app: [app.port], endless: [endless.port], talker: [talker.port] },
    [
      { matches: [path('/endless')], name: 'endless', backends: [to('endless')] },
      { matches: [path('/talk')], name: 'talk', backends: [to('talker', 1, l7.Protocol.HTTP2)] },
      { matches: [path('/none')], name: 'no backend' },
      { name: 'other', backends: [to('app')] },
    ],
    { limits },
  )
})

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy()
  await world.waypoint.close()
  for (const backend of backends) backend.close()
})

function connect(settings?: readonly (readonly [number, number])[]): Http2Client {
  const client = connectHttp2(world.port, settings)
  clients.push(client)
  return client
}

async function refusals(reason: string): Promise<number> {
  const text = await world.metrics.registry.metrics()
  return Number(new RegExp(`wishbone_refused_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const at = (path: string, fields: readonly Field[] = get): readonly Field[] =>
  fields.map(([name, value]) => [name, name === ':path' ? path : value])
const without = (name: string) => get.filter(([other]) => other !== name)
const replaced = (name: string, value: string): readonly Field[] =>
  get.map((field) => (field[0] === name ? [name, value] : field))
/** Trailing fields of a request whose body has begun. */
const trailers = (...fields: readonly Field[]) => [headers(1, post, false), data(1, 'abc'), headers(1, fields)]

describe('a malformed request (RFC 9113 §8.1.1) gets to no backend', () => {
  const heads: readonly (readonly [string, readonly Field[]])[] = [
    ['an upper-case name', [...get, ['X-A', 'b']]],
    ['Connection', [...get, ['connection', 'close']]],
    ['Keep-Alive', [...get, ['keep-alive', 'timeout=5']]],
    ['Proxy-Connection', [...get, ['proxy-connection', 'close']]],
    ['Transfer-Encoding', [...post, ['transfer-encoding', 'chunked']]],
    ['Upgrade', [...get, ['upgrade', 'websocket']]],
    ['TE: gzip', [...get, ['te', 'gzip']]],
    ['TE: trailers, gzip', [...get, ['te', 'trailers, gzip']]],
    ...([':method', ':scheme', ':path', ':authority'] as const).flatMap((name) => [
      [`no ${name}`, without(name)] as const,
      [`an empty ${name}`, replaced(name, '')] as const,
      [`two of ${name}`, [...get, [name, 'x']] as readonly Field[]] as const,
      [`a line end in ${name}`, replaced(name, 'a\r\nx: y')] as const,
      [`a NUL in ${name}`, replaced(name, '/\0')] as const,
      [`a space in ${name}`, replaced(name, '/ a')] as const,
    ]),
    ['an unknown pseudo-header', [[':unknown', 'a'], ...get]],
    ['a pseudo-header of responses', [[':status', '200'], ...get]],
    ['an extended CONNECT, which was not offered', [[':protocol', 'websocket'], ...get]],
    ['a pseudo-header behind a header', [get[0]!, ['x-a', 'b'], ...get.slice(1)]],
    ['a path without a slash', replaced(':path', 'a')],
    ['an absolute path', replaced(':path', 'http://h/a')],
    ['a path of *', replaced(':path', '*')],
    ['user information in :authority', replaced(':authority', 'user@h')],
    ['two Hosts', [...without(':authority'), ['host', 'h'], ['host', 'h']]],
    ['two lengths', [...post, ['content-length', '0'], ['content-length', '0']]],
    ['a length that is none', [...post, ['content-length', '+1']]],
    ['a length of a body that is not there', [...post, ['content-length', '5']]],
    ['CONNECT with a path', [[':method', 'CONNECT'], ...get.slice(1)]],
  ]
  test('and its stream is reset with PROTOCOL_ERROR', async () => {
    const outcomes = await Promise.all(
      heads.map(async ([what, fields]) => {
        const client = connect()
        client.send(headers(1, fields))
        await expect.poll(() => client.resets.size + client.statuses.size, { message: what }).toBeGreaterThan(0)
        return [what, client.resets.get(1), client.statuses.get(1)]
      }),
    )
    expect(outcomes).toEqual(heads.map(([what]) => [what, 1, undefined]))
    expect(seen).toEqual([])
  })

  test.each<[string, readonly Uint8Array[]]>([
    ['a body that is too short', [headers(1, [...post, ['content-length', '5']], false), data(1, 'abc', true)]],
    ['a body that is too long', [headers(1, [...post, ['content-length', '5']], false), data(1, 'abcdefg', true)]],
    ['trailers that do not end it', [headers(1, post, false), data(1, 'abc'), headers(1, [['x-a', 'b']], false)]],
    ['a pseudo-header in trailers', trailers([':path', '/x'])],
    ['an upper-case name in trailers', trailers(['X-A', 'b'])],
  ])('%s: the stream or the connection is lost', async (_what, frames) => {
    const client = connect()
    client.send(...frames)
    await expect.poll(() => client.resets.get(1) ?? client.goaway?.code).toBeGreaterThan(0)
    expect(client.statuses.size).toBe(0)
    expect(seen).toEqual([])
  })

  test.each<[string, readonly Field[], string]>([
    ['another Host than :authority', [...get, ['host', 'other']], '400'],
    [
      'an absolute path of another scheme',
      [get[0]!, [':scheme', 'ftp'], [':path', 'http://h/a'], [':authority', 'h']],
      '400',
    ],
    ['a method that nobody knows', replaced(':method', 'FROB'), '501'],
    ['a method in lower case', replaced(':method', 'get'), '501'],
  ])('%s is answered', async (_what, fields, status) => {
    const client = connect()
    client.send(headers(1, fields))
    await expect.poll(() => client.statuses.get(1)).toBe(status)
    expect(await refusals('bad-request')).toBe(1)
    expect(seen).toEqual([])
  })

  test.each<[string, readonly Field[]]>([
    ['the same Host', [...get, ['host', 'H']]],
    ['only a Host', [...without(':authority'), ['host', 'h']]],
    ['TE: trailers', [...get, ['te', 'trailers']]],
    ['cookies apart', [...get, ['cookie', 'a=b'], ['cookie', 'c=d']]],
    ['a tab in a value', [...get, ['x-a', 'b\tc']]],
  ])('but %s is none', async (_what, fields) => {
    const client = connect()
    client.send(headers(1, fields))
    await expect.poll(() => client.statuses.get(1)).toBe('200')
    expect(seen).toEqual(['GET / '])
  })

  const fields: readonly Field[] = [
    ...['a\rb', 'a\nb', 'a\r\nx-injected: b', 'a\0b', 'a\x01b', 'a\x7fb', ' a', 'a ', '\ta', 'a\t'].map(
      (value) => ['x-bad', value] as const,
    ),
    ...['x-bad\r\nx-injected', 'x-bad:', 'x-bad a', ' x-bad', 'x-bad\0', 'x-b\xe4d', ''].map(
      (name) => [name, 'x-bad'] as const,
    ),
    ...['a b', 'a/b', '<a>', '\x80'].map((value) => ['host', value] as const),
  ]
  test.each(fields)('the field %j: %j is answered 400; in trailers its stream is reset', async (name, value) => {
    const client = connect()
    const bad: Field = [name, value]
    client.send(headers(1, [...get, bad, ['x-good', 'c']]))
    client.send(headers(3, [...post, ['trailer', 'x-bad, x-good']], false), data(3, 'abc'))
    await expect.poll(() => client.statuses.get(1)).toBe('400')
    // Of a head whose body follows as well.
    client.send(headers(5, [...post, bad], false), data(5, 'abc', true))
    client.send(headers(3, [bad, ['x-good', 'c']]), headers(7, get))
    await expect.poll(() => client.resets.get(3)).toBe(1)
    await expect.poll(() => client.statuses.get(7)).toBe('200')
    expect(client.statuses.get(5)).toBe('400')
    expect(client.statuses.get(3)).toBeUndefined()
    expect(seen).toEqual(['GET / '])
    expect(await refusals('bad-request')).toBe(3)
    expect(client.isClosed).toBe(false)
  })

  test('trailers reset their stream also when the backend has answered already, and closed streams are none', async () => {
    const client = connect()
    conversation = (stream) => stream.respond({ ':status': 200 })
    client.send(headers(1, at('/talk', post), false), data(1, 'abc'))
    await expect.poll(() => client.statuses.get(1)).toBe('200')
    client.send(headers(1, [['x-bad', 'a\nb']]))
    await expect.poll(() => client.resets.get(1)).toBe(1)
    client.send(headers(3, get))
    await expect.poll(() => client.statuses.get(3)).toBe('200')
    client.send(headers(3, [['x-bad', 'a\nb']]), headers(5, get))
    await expect.poll(() => client.statuses.get(5) ?? client.goaway?.code).toBeDefined()
  })

  test('trailers that come together with their head are answered 400', async () => {
    const client = connect()
    const frames = (stream: number, bad: Field) => [
      headers(stream, post, false),
      data(stream, 'abc'),
      headers(stream, [bad]),
    ]
    client.socket.write(Buffer.concat([...frames(1, ['x-bad', 'a\r\nb']), ...frames(3, ['x-good', 'c'])]))
    await expect.poll(() => client.statuses.get(1)).toBe('400')
    await expect.poll(() => client.statuses.get(3)).toBe('200')
    expect(seen).toEqual(['POST / abc'])
  })

  test('a hundred of those cost the connection', async () => {
    const client = connect()
    for (let stream = 1; stream <= 199; stream += 2) client.send(headers(stream, [...get, ['x-bad', 'a\nb']]))
    await client.closed
    expect(seen).toEqual([])
    expect(world.log.join('\n')).toContain('100 requests with malformed fields')
    const other = connect()
    other.send(headers(1, get))
    await expect.poll(() => other.statuses.get(1)).toBe('200')
  })

  const huffman = Buffer.from('1fffffffb1ff', 'hex')
  const good = block([['x-good', 'c']])
  /** HEADERS of `get` and more, in two frames. */
  const twoFrames = (stream: number, ...more: readonly Uint8Array[]) => [
    encodeFrame(frameTypes.headers, flags.endStream, stream, block(get)),
    encodeFrame(frameTypes.continuation, flags.endHeaders, stream, Buffer.concat([...more, good])),
  ]
  test.each<[string, readonly Uint8Array[]]>([
    ['in a CONTINUATION', [...twoFrames(1, block([['x-bad', 'a\rb']])), ...twoFrames(3, block([['x-bad\n', 'b']]))]],
    [
      'in the Huffman code',
      [1, 3].flatMap((stream) =>
        twoFrames(stream, Buffer.of(0, 5), Buffer.from('x-bad'), Buffer.of(0x80 | huffman.length), huffman),
      ),
    ],
    [
      'in the dynamic table',
      [
        ...twoFrames(1, Buffer.of(0x40, 5), Buffer.from('x-bad'), Buffer.of(3), Buffer.from('a\nb')),
        ...twoFrames(3, Buffer.of(0x80 | 62)),
      ],
    ],
  ])('also %s, in whatever pieces it comes', async (_where, frames) => {
    const whole = connect()
    whole.send(...frames)
    const drop = connect()
    for (const byte of Buffer.concat(frames)) drop.send(Buffer.of(byte))
    for (const client of [whole, drop]) {
      for (const stream of [1, 3]) await expect.poll(() => client.statuses.get(stream)).toBe('400')
      // The good field of the same heads is not remembered as a bad one.
      client.send(headers(5, [...get, ['x-good', 'c']]))
      await expect.poll(() => client.bodies.get(5) ?? '').toContain('"x-good":"c"')
      expect(client.isClosed).toBe(false)
    }
    expect(seen).toHaveLength(2)
  })
})

describe('silence', () => {
  /** What a client sent first, and how the connection ended. */
  async function end(client: Http2Client): Promise<number | undefined> {
    const began = Date.now()
    await client.closed
    expect(Date.now() - began).toBeLessThan(2_500)
    return client.goaway?.code
  }

  test('a head without an end, also in small pieces', async () => {
    const client = connect()
    client.send(encodeFrame(frameTypes.headers, flags.endStream, 1, block(get)))
    expect(await end(client)).toBe(11)
    const slow = connect()
    slow.send(encodeFrame(frameTypes.headers, flags.endStream, 1, block(get)))
    const drip = setInterval(() => slow.send(encodeFrame(frameTypes.continuation, 0, 1, block([['x', 'y']]))), 150)
    expect(await end(slow)).toBe(11)
    clearInterval(drip)
    expect(await refusals('slow-headers')).toBe(2)
  })

  test.each([
    ['no SETTINGS', ''],
    ['half of SETTINGS', '\0\0\0\x04'],
  ])('a preface with %s', async (_what, rest) => {
    const socket = net.connect(world.port, '127.0.0.1')
    const began = Date.now()
    socket.write(Buffer.concat([preface, Buffer.from(rest)]))
    await new Promise((resolve) => socket.resume().once('close', resolve))
    expect(Date.now() - began).toBeLessThan(2_000)
    expect(await refusals('slow-headers')).toBe(1)
  })

  test('a session without streams is told GOAWAY(NO_ERROR) and closed, whatever else the client sends', async () => {
    const idle = connect()
    const used = connect()
    used.send(headers(1, get))
    const pinging = connect()
    const ping = setInterval(() => pinging.send(encodePing(new Uint8Array(8))), 50)
    const began = Date.now()
    expect(await Promise.all([end(idle), end(used), end(pinging)])).toEqual([0, 0, 0])
    clearInterval(ping)
    expect(Date.now() - began).toBeGreaterThanOrEqual(limits.idleTimeoutMs)
    expect(used.statuses.get(1)).toBe('200')
    expect(await refusals('slow-headers')).toBe(0)
  })

  test('a client that does not close its side holds no place', async () => {
    const socket = net.connect({ port: world.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {}).resume()
    socket.write(Buffer.concat([preface, encodeFrame(frameTypes.settings, 0, 0, Buffer.alloc(0))]))
    await expect.poll(() => world.waypoint.gateway.connections).toBe(1)
    await expect.poll(() => world.waypoint.gateway.connections, { timeout: 6_000 }).toBe(0)
    socket.destroy()
  })

  test('a session is not idle while one stream is open, nor between requests that come often', async () => {
    const client = connect()
    client.send(headers(1, [...get, ['x-wait-ms', '1500']]))
    await expect.poll(() => client.statuses.get(1), { timeout: 3_000 }).toBe('200')
    for (let stream = 3; stream < 9; stream += 2) {
      await wait(400)
      client.send(headers(stream, get))
    }
    await expect.poll(() => client.statuses.get(7)).toBe('200')
  })
})

describe('stalled', () => {
  test('a body that stops: the stream is lost, the connection not', async () => {
    const client = connect()
    client.send(headers(1, post, false), data(1, 'abc'), headers(3, [...post, ['content-length', '5']], false))
    const keepAlive = setInterval(() => client.send(encodePing(new Uint8Array(8))), 50)
    await expect.poll(() => [...client.resets.keys()], { timeout: 2_000 }).toEqual([1, 3])
    clearInterval(keepAlive)
    expect([...client.statuses.values()]).toEqual(['408', '408'])
    client.send(headers(5, get))
    await expect.poll(() => client.statuses.get(5)).toBe('200')
    expect(await refusals('stalled')).toBe(2)
    expect(seen).toEqual(['GET / '])
  })

  test('a slow backend, and a body that goes on slowly, are none', async () => {
    const client = connect()
    client.send(headers(1, [...post, ['x-wait-ms', '1200']], false), data(1, 'abc', true))
    client.send(headers(3, post, false))
    for (let sent = 0; sent < 6; sent++) {
      await wait(200)
      client.send(data(3, 'x', sent === 5))
    }
    await expect
      .poll(() => [...client.statuses], { timeout: 3_000 })
      .toEqual(
        expect.arrayContaining([
          [1, '200'],
          [3, '200'],
        ]),
      )
    expect(seen).toContain('POST / xxxxxx')
    expect(await refusals('stalled')).toBe(0)
  })

  test('a backend that does not read is none of the client', async () => {
    let backend: ServerHttp2Stream | undefined
    conversation = (stream) => {
      backend = stream.on('error', () => {}).pause()
    }
    const client = connect()
    client.send(headers(1, at('/talk', post), false))
    // More than the backend's window and our buffers take, less than our window.
    client.send(...Array.from({ length: 50 }, () => data(1, Buffer.alloc(16_384))))
    await expect.poll(() => backend !== undefined).toBe(true)
    await wait(1_200)
    expect(client.resets.size).toBe(0)
    client.send(data(1, '', true))
    backend!.resume().once('end', () => backend!.respond({ ':status': 200 }, { endStream: true }))
    await expect.poll(() => client.statuses.get(1)).toBe('200')
    expect(await refusals('stalled')).toBe(0)
  })

  test.each(['application/grpc', 'application/grpc+proto', 'application/connect+json'])(
    'a conversation (%s) that is quiet on both sides goes on',
    async (type) => {
      let backend: ServerHttp2Stream | undefined
      conversation = (stream) => {
        backend = stream.on('error', () => {}).resume()
      }
      const client = connect()
      client.send(headers(1, [...at('/talk', post), ['content-type', type], ['te', 'trailers']], false))
      await expect.poll(() => backend !== undefined).toBe(true)
      client.send(data(1, 'hello'))
      await wait(1_200)
      expect([client.isClosed, client.resets.size, client.statuses.size]).toEqual([false, 0, 0])
      backend!.respond({ ':status': 200, 'content-type': type })
      await expect.poll(() => client.statuses.get(1)).toBe('200')
      await wait(1_200)
      backend!.write('there')
      await expect.poll(() => client.bodies.get(1)).toBe('there')
      client.send(data(1, '', true))
      backend!.end()
      expect(await refusals('stalled')).toBe(0)
    },
  )

  test('over HTTP/1 there is none, whatever the type says', async () => {
    const socket = net.connect(world.port, '127.0.0.1').on('error', () => {})
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\na')
    await expect.poll(() => refusals('stalled'), { timeout: 2_000 }).toBe(1)
    socket.destroy()
  })

  test('a window that opens byte by byte: the backend waits, memory does not grow, and the stream ends', async () => {
    const client = connect([[4, 0]])
    client.send(headers(1, at('/endless')))
    await expect.poll(() => client.statuses.get(1)).toBe('200')
    const before = process.memoryUsage().rss
    for (let round = 0; round < 100 && client.resets.size === 0; round++) {
      client.send(encodeWindowUpdate(1, 1))
      await wait(25)
    }
    expect(client.received.get(1)).toBeGreaterThan(5)
    expect(client.resets.get(1)).toBe(2)
    expect(client.isClosed).toBe(false)
    expect(await refusals('stalled')).toBe(1)
    expect(process.memoryUsage().rss - before).toBeLessThan(32 << 20)
    // What the kernel and a few buffers hold.
    expect(endlessBytes).toBeLessThan(32 << 20)
  })

  test('many streams without a window: memory does not grow', async () => {
    const client = connect([[4, 0]])
    const before = process.memoryUsage().rss
    client.send(...Array.from({ length: 50 }, (_, index) => headers(1 + 2 * index, at('/endless'))))
    await expect.poll(() => client.statuses.size, { timeout: 4_000 }).toBe(50)
    const keepAlive = setInterval(() => client.send(encodePing(new Uint8Array(8))), 50)
    await expect.poll(() => refusals('stalled'), { timeout: 4_000 }).toBe(50)
    clearInterval(keepAlive)
    expect(client.isClosed).toBe(false)
    expect(process.memoryUsage().rss - before).toBeLessThan(96 << 20)
  })

  test('responses without a body that are not taken, and then nothing at all', { timeout: 20_000 }, async () => {
    const socket = net.connect(world.port, '127.0.0.1').on('error', () => {})
    socket.pause()
    socket.write(Buffer.concat([preface, encodeFrame(frameTypes.settings, 0, 0, Buffer.alloc(0))]))
    const fields: readonly Field[] = [...replaced(':method', 'HEAD'), ['x-large', 'y']]
    // More than the kernel's buffers take.
    for (let stream = 1; stream < 400; stream += 2) socket.write(headers(stream, fields))
    await expect.poll(() => refusals('stalled'), { timeout: 10_000 }).toBeGreaterThan(10)
    await expect.poll(() => world.waypoint.gateway.connections, { timeout: 10_000 }).toBe(0)
    socket.destroy()
  })

  test('what follows an early answer is read for a while, and then the stream ends', async () => {
    const client = connect()
    client.send(headers(1, at('/none', post), false))
    const drip = setInterval(() => client.send(data(1, 'x')), 50)
    await expect.poll(() => client.resets.get(1), { timeout: 2_000 }).toBe(0)
    clearInterval(drip)
    expect(client.statuses.get(1)).toBe('500')
    expect(await refusals('stalled')).toBe(0)
  })
})
