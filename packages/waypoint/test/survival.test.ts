// What clients and backends send that node's own functions throw at: it costs its request or connection, never the process.
import type net from 'node:net'
import { encodeFrame, encodeSettings, flags, frameTypes } from '@wishbone/core/h2'
import { l7 } from '@wishbone/proto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { connectHttp2, data, type Field, get, type Http2Client, headers, post } from './http2-client.ts'
import { ask, type Backend, http2Backend, tcpBackend } from './servers.ts'

let world: World
const backends: Backend[] = []
const clients: Http2Client[] = []
const thrown: unknown[] = []
const note = (cause: unknown) => void thrown.push(cause)

beforeEach(() => {
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
})

afterEach(async () => {
  await pause(20)
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
  for (const { socket } of clients.splice(0)) socket.destroy()
  await world.waypoint.close()
  for (const backend of backends.splice(0)) backend.close()
  expect(thrown.splice(0)).toEqual([])
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function start(backend: Backend, protocol: l7.Protocol = l7.Protocol.HTTP): Promise<void> {
  backends.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app', 1, protocol)] }])
}

function connect(): Http2Client {
  const client = connectHttp2(world.port)
  clients.push(client)
  return client
}

const odd: readonly (readonly Field[])[] = [
  [['constructor', 'x']],
  [['__proto__', 'x']],
  [
    ['constructor', 'x'],
    ['constructor', 'y'],
  ],
  [
    ['etag', 'a'],
    ['etag', 'b'],
  ],
  [
    ['last-modified', 'a'],
    ['last-modified', 'b'],
  ],
  [['http2-settings', 'a']],
  [['x-a', '\xff\x80']],
  [['x-a', 'a\tb']],
  [['x-a', '']],
]

describe.each(odd.map((fields) => [JSON.stringify(fields), fields] as const))('trailers %s', (_text, fields) => {
  test('of a request, to HTTP/2', async () => {
    let ended = 0
    await start(
      await http2Backend((stream) => {
        stream.on('error', () => {}).on('close', () => ended++)
        stream
          .resume()
          .on('end', () => stream.closed || stream.destroyed || stream.respond({ ':status': 200 }, { endStream: true }))
      }),
      l7.Protocol.HTTP2,
    )
    const client = connect()
    client.send(headers(1, post, false), data(1, 'abc'), headers(1, fields))
    await expect.poll(() => ended).toBe(1)
  })

  test('of a request, to HTTP/1', async () => {
    let text = ''
    await start(
      await tcpBackend((socket) => {
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1')
          if (text.includes('0\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        })
      }),
    )
    const client = connect()
    client.send(headers(1, [...post, ['trailer', fields[0]![0]]], false), data(1, 'abc'), headers(1, fields))
    await pause(100)
  })

  test('of a response, of HTTP/1', async () => {
    await start(
      await tcpBackend((socket) => {
        const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
        socket.on('data', () =>
          socket.write(
            Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${lines}\r\n`, 'latin1'),
          ),
        )
      }),
    )
    const client = connect()
    client.send(headers(1, get))
    await expect.poll(() => client.bodies.get(1)).toBe('ok')
    await ask(world.port).catch(() => {})
    await pause(50)
  })
})

/** Sends SETTINGS and the frames in one piece to whoever connects. */
const rawHttp2 = (...frames: readonly Uint8Array[]) =>
  tcpBackend((socket: net.Socket) => void socket.resume().write(Buffer.concat([encodeSettings([]), ...frames])))

test.each([
  ['an unknown stream', [encodeFrame(frameTypes.data, 0, 7, Buffer.from('x'))]],
  ['GOAWAY', [encodeFrame(frameTypes.goaway, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]))]],
  ['a frame too large', [encodeFrame(frameTypes.settings, 0, 0, Buffer.from([1]))]],
  ['a PING of three bytes', [encodeFrame(frameTypes.ping, 0, 0, Buffer.from([1, 2, 3]))]],
])('a backend greets and breaks the protocol in one piece: %s', async (_what, frames) => {
  await start(await rawHttp2(...frames), l7.Protocol.HTTP2)
  const answer = await ask(world.port)
  expect(answer.status).toBeGreaterThanOrEqual(500)
})

test.each([[false], [true]])(
  'requests and what breaks their connection come in one piece; leaving: %s',
  async (leaving) => {
    await start(await tcpBackend((socket) => void socket.resume()))
    const broken = [
      encodeFrame(frameTypes.settings, 0, 0, Buffer.from([1])),
      encodeFrame(frameTypes.ping, 0, 0, Buffer.from([1, 2, 3])),
      encodeFrame(frameTypes.goaway, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 1])),
      encodeFrame(frameTypes.rstStream, 0, 1, Buffer.from([0, 0, 0, 8])),
      encodeFrame(frameTypes.headers, flags.endHeaders, 0, Buffer.from([1])),
      encodeFrame(frameTypes.windowUpdate, 0, 1, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
    ]
    if (leaving) void world.waypoint.drain(3_000, 2_000)
    for (const frame of broken)
      for (const fields of [
        get,
        [[':method', 'NONSENSE'] as const, ...get.slice(1)],
        [...get, ['x-a', 'a\x01'] as const],
        [...get, ['expect', 'x'] as const],
      ]) {
        connect().send(headers(1, fields), frame)
        const slow = connect()
        await pause(5)
        slow.send(headers(1, fields), frame)
      }
    await pause(200)
  },
)

test.each(['constructor', '__proto__'])('a header named %s, in a route, a request and a response', async (name) => {
  const path = (value: string) => ({ path: { kind: { case: 'exact' as const, value } } })
  const backend = await tcpBackend((socket) => {
    socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\n${name}: x\r\n${name}: y\r\nContent-Length: 2\r\n\r\nok`))
  })
  backends.push(backend)
  world = await startWorld({ app: [backend.port] }, [
    { matches: [{ ...path('/'), headers: [{ name, kind: { case: 'exact', value: 'a' } }] }], backends: [] },
    { backends: [to('app')] },
  ])
  const client = connect()
  client.send(headers(1, [...get, [name, 'b']]), headers(3, get))
  await expect.poll(() => [...client.statuses.values()]).toEqual(['200', '200'])
  for (const sent of [[], [name, 'b']])
    expect(await ask(world.port, { headers: ['host', 'h', ...sent] })).toMatchObject({ status: 200, body: 'ok' })
})

test('what a backend says is its gRPC status becomes no label of its own', async () => {
  await start(
    await http2Backend((stream) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200, 'grpc-status': 'x'.repeat(1_000) }, { endStream: true })
    }),
    l7.Protocol.HTTP2,
  )
  const client = connect()
  client.send(headers(1, [...post, ['content-type', 'application/grpc'], ['te', 'trailers']]))
  await expect.poll(() => world.accessLog).toMatchObject([{ grpc_status: 'invalid' }])
})
