// Clients that make a gateway work for nothing: each loses its connection, and the others are served meanwhile.
import { once } from 'node:events'
import http2 from 'node:http2'
import {
  encodeFrame,
  encodePing,
  encodeRstStream,
  encodeSettings,
  encodeWindowUpdate,
  errorCodes,
  frameTypes,
} from '@wishbone/core/h2'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultLimits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { block, connectHttp2, data, type Field, get, type Http2Client, headers, post } from './http2-client.ts'
import { ask, type Backend, echo, tcpBackend } from './servers.ts'

let world: World
let app: Backend
let silent: Backend
let asked: number
const clients: Http2Client[] = []

const limits = { ...defaultLimits, maxConnections: 50, maxHeaderBytes: 16_384, maxConcurrentStreams: 20 }

beforeEach(async () => {
  app = await echo('app')
  asked = 0
  silent = await tcpBackend((socket) => {
    asked++
    socket.resume()
  })
  const path = { kind: { case: 'exact' as const, value: '/silent' } }
  world = await startWorld(
    { app: [app.port], silent: [silent.port] },
    [
      { matches: [{ path }], name: 'silent', backends: [to('silent')] },
      { name: 'other', backends: [to('app')] },
    ],
    { limits },
  )
})

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy()
  await world.waypoint.close()
  app.close()
  silent.close()
})

async function refusals(reason: string): Promise<number> {
  const text = await world.metrics.registry.metrics()
  return Number(new RegExp(`wishbone_refused_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}

const served = async () => expect((await ask(world.port)).status).toBe(200)
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const toSilent = (fields: readonly Field[]): readonly Field[] =>
  fields.map(([name, value]) => [name, name === ':path' ? '/silent' : value])
const silentGet = toSilent(get)
const silentPost = toSilent(post)

/** Sends batches until the gateway closes or all are sent; it must go on serving others meanwhile, in bounded memory. */
async function flood(batch: (round: number) => Uint8Array, rounds: number, before?: Uint8Array): Promise<Http2Client> {
  const client = connectHttp2(world.port)
  clients.push(client)
  if (before !== undefined) client.send(before)
  const rss = process.memoryUsage().rss
  for (let round = 0; round < rounds && !client.isClosed; round++) {
    if (!client.socket.write(batch(round)))
      await Promise.race([once(client.socket, 'drain').catch(() => {}), client.closed])
    if (round % 20 === 0) await served()
  }
  await served()
  expect(process.memoryUsage().rss - rss).toBeLessThan(192 << 20)
  await Promise.race([client.closed, wait(500)])
  return client
}

/** One frame a hundred times a round, or what belongs to a stream of its own. */
const hundred = (frame: (streamId: number) => Uint8Array | readonly Uint8Array[]) => (round: number) =>
  Buffer.concat(Array.from({ length: 100 }, (_, index) => frame(1 + 2 * (round * 100 + index))).flat())
const priority = (streamId: number, parent: number) => {
  const payload = Buffer.alloc(5)
  payload.writeUInt32BE(parent)
  return encodeFrame(frameTypes.priority, 0, streamId, payload)
}

describe('what costs a client nothing, and a connection in the end', () => {
  test.each<[string, (streamId: number) => Uint8Array]>([
    ['SETTINGS', () => encodeSettings([])],
    ['PING', () => encodePing(new Uint8Array(8))],
    ['PRIORITY', (streamId) => priority(streamId, 0)],
    ['frames of a type that is not known', () => encodeFrame(77, 0, 0, new Uint8Array(4))],
  ])('%s', async (_what, frame) => {
    const client = await flood(hundred(frame), 200)
    expect(client.isClosed).toBe(true)
    expect(await refusals('http2-error')).toBe(1)
  })

  test('DATA without content', async () => {
    const client = await flood(
      hundred(() => data(1, '')),
      200,
      headers(1, silentPost, false),
    )
    expect(client.isClosed).toBe(true)
    expect(await refusals('http2-error')).toBe(1)
  })

  test('CONTINUATION without end', async () => {
    const fields: readonly Field[] = Array(20).fill(['x-more', 'y'.repeat(100)])
    const more = Buffer.concat(Array(50).fill(encodeFrame(frameTypes.continuation, 0, 1, block(fields))))
    const client = await flood(() => more, 200, encodeFrame(frameTypes.headers, 0, 1, block(get)))
    expect(client.isClosed).toBe(true)
  })

  test('small steps of the window are no flood, and starve nobody', async () => {
    const client = await flood(
      hundred(() => encodeWindowUpdate(0, 1)),
      200,
    )
    expect(client.isClosed).toBe(false)
  })

  test.each<[string, Uint8Array, number]>([
    ['of the connection by 0', encodeWindowUpdate(0, 0), errorCodes.protocolError],
    ['of the connection beyond 2^31-1', encodeWindowUpdate(0, 0x7fff_ffff), errorCodes.flowControlError],
    ['of a stream by 0', encodeWindowUpdate(1, 0), errorCodes.protocolError],
    ['of a stream beyond 2^31-1', encodeWindowUpdate(1, 0x7fff_ffff), errorCodes.flowControlError],
    ['of a stream that is idle', encodeWindowUpdate(9, 1), errorCodes.protocolError],
    ['of all streams beyond 2^31-1', encodeSettings([[4, 0x8000_0000]]), errorCodes.flowControlError],
  ])('a window that grows: %s', async (_what, frame, code) => {
    const client = await flood(() => frame, 1, headers(1, silentPost, false))
    expect(client.isClosed ? client.goaway?.code : client.resets.get(1)).toBe(code)
  })
})

describe('streams that are reset before they are answered cost the connection', () => {
  const connectionHeader: readonly Field[] = [...get, ['connection', 'close']]
  test.each<[string, (streamId: number) => readonly Uint8Array[]]>([
    ['by the client (CVE-2023-44487)', (id) => [headers(id, silentGet), encodeRstStream(id, 8)]],
    // CVE-2025-8671: the client makes the server reset them.
    ['for a step of the window by 0', (id) => [headers(id, silentGet), encodeWindowUpdate(id, 0)]],
    ['for too large a window', (id) => [headers(id, silentGet), encodeWindowUpdate(id, 0x7fff_ffff)]],
    ['for DATA behind the end', (id) => [headers(id, silentGet), data(id, 'a')]],
    ['for HEADERS behind the end', (id) => [headers(id, silentGet), headers(id, get)]],
    ['for a priority of itself', (id) => [headers(id, silentGet), priority(id, id)]],
    ['for PRIORITY of a wrong size', (id) => [headers(id, silentGet), encodeFrame(2, 0, id, new Uint8Array(4))]],
    [
      'for a body of another length',
      (id) => [headers(id, [...silentPost, ['content-length', '1']], false), data(id, '', true)],
    ],
    ['for a malformed head', (id) => [headers(id, connectionHeader)]],
    ['for too many at a time', (id) => [headers(id, silentGet)]],
  ])('%s', { timeout: 30_000 }, async (_why, frames) => {
    const client = await flood(hundred(frames), 100)
    expect(client.isClosed).toBe(true)
    expect(await refusals('http2-error')).toBe(1)
    // node's burst, and what was on its way.
    expect(asked).toBeLessThan(1_000)
    await expect.poll(() => world.waypoint.gateway.connections).toBe(0)
  })
})

test('a few bytes that unpack to many are refused', async () => {
  // One large entry in the dynamic table, then 16,000 references to it in a block of 16 KiB.
  const entry = Buffer.concat([
    Buffer.of(0x40, 1),
    Buffer.from('x'),
    Buffer.of(127, 128 | ((3_000 - 127) % 128), Math.floor((3_000 - 127) / 128)),
    Buffer.alloc(3_000, 'a'),
  ])
  const bomb = Buffer.concat([block(get), entry, Buffer.alloc(12_000, 0xbe)])
  await flood((round) => encodeFrame(frameTypes.headers, 5, 1 + 2 * round, bomb), 50)
  expect(world.accessLog.some(({ request_bytes: bytes }) => Number(bytes) > 0)).toBe(false)
})

test('a client that hangs up holds no place', async () => {
  for (let round = 0; round < 60; round++) {
    const client = connectHttp2(world.port)
    client.send(headers(1, get))
    await expect.poll(() => client.bodies.get(1)).toContain('app')
    client.socket.end()
    await client.closed
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
      const [fields] = await once(stream, 'response')
      return fields[':status']
    }),
  )
  expect(new Set(statuses)).toEqual(new Set([200]))
  session.destroy()
})
