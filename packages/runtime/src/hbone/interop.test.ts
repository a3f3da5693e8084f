// Against node:http2 (nghttp2) in both roles: small frames and windows, HPACK with tables and Huffman, its own GOAWAY and PING.
import { createHash, randomBytes } from 'node:crypto'
import http2 from 'node:http2'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { connectHbone } from './client.ts'
import { toDuplex } from './duplex.ts'
import { acceptHbone } from './server.ts'
import { tlsPair } from './testing.ts'
import type { ConnectRequest } from './types.ts'

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const cleanup: (() => void)[] = []
afterEach(() => {
  for (const done of cleanup.splice(0)) done()
})

async function http2Client(onConnect: (request: ConnectRequest) => void, settings: http2.Settings = {}) {
  const [client, server] = await tlsPair()
  const session = acceptHbone(server, { onConnect })
  const peer = http2.connect('https://unused', { createConnection: () => client, settings })
  cleanup.push(() => peer.destroy())
  peer.on('error', () => undefined)
  return { peer, session }
}

async function http2Server(
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: http2.Settings = {},
) {
  const [client, server] = await tlsPair()
  const listener = http2.createSecureServer({ settings })
  const ready = new Promise<http2.ServerHttp2Session>((resolve) => listener.once('session', resolve))
  listener.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => undefined)
    onStream(stream, headers)
  })
  listener.on('sessionError', () => undefined)
  listener.emit('secureConnection', server)
  const peer = await ready
  cleanup.push(() => peer.destroy())
  return { peer, session: connectHbone(client) }
}

describe('a node:http2 client on our server', () => {
  test.each([
    {},
    { initialWindowSize: 1000 },
    { maxFrameSize: 1 << 20, initialWindowSize: 8 << 20 },
    { headerTableSize: 0 },
  ])('moves bytes exactly with %j', async (settings) => {
    const { peer } = await http2Client((request) => {
      expect(request.authority).toBe('10.0.0.1:80')
      expect(request.headers).toMatchObject({ baggage: 'k8s.namespace.name=shop', traceparent: /00-/ })
      const duplex = toDuplex(request.accept({ baggage: 'x=y' }))
      void pipeline(duplex, duplex)
    }, settings)
    const sent = randomBytes(5_000_000)
    const stream = peer.request({
      ':method': 'CONNECT',
      ':authority': '10.0.0.1:80',
      baggage: 'k8s.namespace.name=shop',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
    })
    const answered = new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once('response', resolve))
    stream.end(sent)
    expect(await answered).toMatchObject({ ':status': 200, baggage: 'x=y' })
    expect(digest(await buffer(stream))).toBe(digest(sent))
  })

  test('gets the status of a rejection', async () => {
    const { peer, session } = await http2Client((request) => request.reject(401))
    const stream = peer.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' })
    const status = await new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])))
    expect(status).toBe(401)
    expect(await buffer(stream)).toHaveLength(0)
    expect(session.streams).toBe(0)
  })

  test('is refused when it asks for something else than a tunnel', async () => {
    const { peer } = await http2Client(() => expect.unreachable())
    const stream = peer.request({ ':method': 'GET', ':path': '/' })
    expect(await new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])))).toBe(400)
  })

  test('its reset reads as an end, its GOAWAY ends the session when streams have ended', async () => {
    const ended = Promise.withResolvers<void>()
    const { peer, session } = await http2Client((request) => {
      const duplex = toDuplex(request.accept())
      duplex.resume().once('end', ended.resolve)
    })
    const stream = peer.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' })
    await new Promise((resolve) => stream.once('response', resolve))
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await ended.promise
    peer.close()
    await session.closed
  })

  test('sees our drain as GOAWAY', async () => {
    const { peer, session } = await http2Client((request) => void toDuplex(request.accept()).resume())
    const stream = peer.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' })
    await new Promise((resolve) => stream.once('response', resolve))
    const goaway = new Promise((resolve) => peer.once('goaway', resolve))
    const drained = session.drain()
    expect(await goaway).toBe(0)
    stream.end()
    stream.close()
    await drained
  })

  test('many streams at once', async () => {
    const { peer, session } = await http2Client((request) => {
      const duplex = toDuplex(request.accept())
      void pipeline(duplex, duplex)
    })
    const bodies = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const stream = peer.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' })
        stream.end(`hello ${i}`)
        return (await buffer(stream)).toString()
      }),
    )
    expect(bodies).toEqual(Array.from({ length: 100 }, (_, i) => `hello ${i}`))
    expect(session.streams).toBe(0)
  })
})

describe('our client on a node:http2 server', () => {
  test.each([
    {},
    { initialWindowSize: 1000 },
    { maxFrameSize: 1 << 20, initialWindowSize: 8 << 20 },
    { headerTableSize: 0 },
  ])('moves bytes exactly with %j', async (settings) => {
    const { session } = await http2Server((stream, headers) => {
      expect(headers).toMatchObject({ ':method': 'CONNECT', ':authority': '10.0.0.1:80', forwarded: 'for="1.2.3.4:5"' })
      stream.respond({ ':status': 200, baggage: 'x=y' })
      stream.pipe(stream)
    }, settings)
    const sent = randomBytes(5_000_000)
    for (let round = 0; round < 2; round++) {
      const tunnel = await session.open('10.0.0.1:80', { forwarded: 'for="1.2.3.4:5"' })
      expect(tunnel.headers).toMatchObject({ baggage: 'x=y' })
      const duplex = toDuplex(tunnel)
      duplex.end(sent)
      expect(digest(await buffer(duplex))).toBe(digest(sent))
    }
  })

  test('learns a status, a reset and a limit', async () => {
    const { session } = await http2Server(
      (stream, headers) => {
        if (headers[':authority'] === 'no:1') stream.respond({ ':status': 503 }, { endStream: true })
        else if (headers[':authority'] === 'reset:1') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
        else stream.respond({ ':status': 200 })
      },
      { maxConcurrentStreams: 2 },
    )
    await expect(session.open('no:1', {})).rejects.toMatchObject({ status: 503 })
    await expect(session.open('reset:1', {})).rejects.toMatchObject({
      code: 'backend-reset',
      message: /INTERNAL_ERROR/,
    })
    await session.open('yes:1', {})
    await session.open('yes:1', {})
    expect(session.room).toBe(0)
  })

  test('leaves when the server says GOAWAY, after its streams', async () => {
    const { session, peer } = await http2Server((stream) => {
      stream.respond({ ':status': 200 })
      stream.pipe(stream)
    })
    const duplex = toDuplex(await session.open('yes:1', {}))
    peer.close()
    await expect.poll(() => session.room).toBe(0)
    duplex.end('still works')
    expect((await buffer(duplex)).toString()).toBe('still works')
    await session.closed
  })
})
