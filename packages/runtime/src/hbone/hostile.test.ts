// Peers that break the protocol: each costs its own session, with a GOAWAY that says why, and nothing else.

import { setTimeout as sleep } from 'node:timers/promises'
import type tls from 'node:tls'
import type { MeshError } from '@wishbone/core/errors'
import {
  encodeFrame,
  encodeHeaders,
  encodePing,
  encodeRstStream,
  encodeSettings,
  encodeWindowUpdate,
  errorCodes,
  FrameParser,
  flags,
  frameTypes,
  parseGoaway,
  preface,
} from '@wishbone/core/h2'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Copy } from '../copy/types.ts'
import { type TunnelDuplex, toDuplex } from './duplex.ts'
import { pipeSocket } from './pipe.ts'
import { acceptHbone } from './server.ts'
import { tcpPair, tlsPair } from './testing.ts'
import type { ConnectRequest, SessionSettings, Tunnel } from './types.ts'

interface Seen {
  readonly goaway: Promise<{ code: number; debug: string }>
  readonly resets: Map<number, number>
  readonly closed: Promise<MeshError | undefined>
  readonly socket: tls.TLSSocket
  readonly tunnels: Tunnel[]
}

const pseudo = [
  [':method', 'CONNECT'],
  [':authority', '10.0.0.1:80'],
] as const
const connect = encodeHeaders(pseudo)
/** As they are, character by character. */
const encodeUnchecked = (fields: readonly (readonly [string, string])[]) =>
  Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.of(0, name.length),
      Buffer.from(name, 'latin1'),
      Buffer.of(value.length),
      Buffer.from(value, 'latin1'),
    ]),
  )
const headers = (streamId: number, block: Uint8Array = connect) =>
  encodeFrame(frameTypes.headers, flags.endHeaders, streamId, block)
const data = (streamId: number, length: number, frameFlags = 0) =>
  encodeFrame(frameTypes.data, frameFlags, streamId, new Uint8Array(length))
const hello = [preface, encodeSettings([])]

/** A session of ours, and a peer that sends raw bytes. */
async function attack(
  bytes: readonly Uint8Array[],
  onConnect?: (request: ConnectRequest) => void,
  settings: Partial<SessionSettings> = {},
): Promise<Seen> {
  const [socket, server] = await tlsPair()
  const goaway = Promise.withResolvers<{ code: number; debug: string }>()
  const closed = Promise.withResolvers<MeshError | undefined>()
  const resets = new Map<number, number>()
  const tunnels: Tunnel[] = []
  acceptHbone(server, {
    onConnect: onConnect ?? ((request) => void tunnels.push(request.accept())),
    onClose: closed.resolve,
    settings,
  })
  const parser = new FrameParser(
    {
      data: () => undefined,
      dataEnd: () => undefined,
      frame: (type, _flags, streamId, payload) => {
        if (type === frameTypes.goaway) goaway.resolve(parseGoaway(payload))
        if (type === frameTypes.rstStream) resets.set(streamId, payload[3]!)
      },
    },
    { maxFrameSize: 1 << 20 },
  )
  socket.on('data', (chunk: Buffer) => parser.push(chunk)).on('error', () => undefined)
  socket.write(Buffer.concat(bytes))
  return { goaway: goaway.promise, resets, closed: closed.promise, socket, tunnels }
}

const repeat = (count: number, frame: (index: number) => Uint8Array) =>
  Array.from({ length: count }, (_, index) => frame(index))

describe('a session ends with a reason', () => {
  test.each<[string, readonly Uint8Array[], number]>([
    ['no preface', [Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')], errorCodes.protocolError],
    ['no SETTINGS first', [preface, encodePing(new Uint8Array(8))], errorCodes.protocolError],
    ['a frame that is too large', [...hello, Buffer.from([0x10, 0, 1, 0, 0, 0, 0, 0, 1])], errorCodes.frameSizeError],
    ['DATA on an idle stream', [...hello, data(1, 5)], errorCodes.protocolError],
    ['an even stream', [...hello, headers(2)], errorCodes.protocolError],
    [
      'PUSH_PROMISE',
      [...hello, encodeFrame(frameTypes.pushPromise, flags.endHeaders, 1, new Uint8Array(4))],
      errorCodes.protocolError,
    ],
    ['a window update of 0', [...hello, encodeWindowUpdate(0, 0)], errorCodes.protocolError],
    ['too large a window', [...hello, encodeWindowUpdate(0, 0x7fff_ffff)], errorCodes.flowControlError],
    ['a bad header block', [...hello, headers(1, Uint8Array.of(0x80))], errorCodes.compressionError],
    [
      'an interrupted header block',
      [...hello, encodeFrame(frameTypes.headers, 0, 1, connect), encodePing(new Uint8Array(8))],
      errorCodes.protocolError,
    ],
    ['a PING flood', [...hello, ...repeat(200, () => encodePing(new Uint8Array(8)))], errorCodes.enhanceYourCalm],
    ['a SETTINGS flood', [...hello, ...repeat(200, () => encodeSettings([]))], errorCodes.enhanceYourCalm],
    ['an empty DATA flood', [...hello, headers(1), ...repeat(2000, () => data(1, 0))], errorCodes.enhanceYourCalm],
    [
      'a flood of unknown frames',
      [...hello, ...repeat(2000, () => encodeFrame(77, 0, 0, new Uint8Array(3)))],
      errorCodes.enhanceYourCalm,
    ],
    [
      'a CONTINUATION flood',
      [
        ...hello,
        encodeFrame(frameTypes.headers, 0, 1, connect),
        ...repeat(5000, () => encodeFrame(frameTypes.continuation, 0, 1, new Uint8Array(0))),
      ],
      errorCodes.enhanceYourCalm,
    ],
  ])('%s', async (_name, bytes, code) => {
    const seen = await attack(bytes)
    expect(await seen.goaway).toMatchObject({ code })
    expect(await seen.closed).toMatchObject({ code: 'protocol-error', at: 'downstream' })
  })

  test('rapid reset', async () => {
    const waiting = () => undefined
    const frames = repeat(3000, (index) => Buffer.concat([headers(index * 2 + 1), encodeRstStream(index * 2 + 1, 8)]))
    const seen = await attack([...hello, ...frames], waiting)
    expect(await seen.goaway).toMatchObject({ code: errorCodes.enhanceYourCalm })
  })

  // As CVE-2025-8671: the peer makes us reset or refuse its streams.
  const get = encodeHeaders([
    [':method', 'GET'],
    [':authority', '10.0.0.1:80'],
    [':path', '/'],
  ])
  const bad = encodeHeaders([...pseudo, ['X', 'upper case']])
  test.each<[string, (streamId: number) => readonly Uint8Array[]]>([
    ['a window update of 0', (id) => [headers(id), encodeWindowUpdate(id, 0)]],
    ['too large a window', (id) => [headers(id), encodeWindowUpdate(id, 0x7fff_ffff)]],
    ['DATA after the end', (id) => [headers(id), data(id, 1, flags.endStream), data(id, 1)]],
    ['trailers that do not end it', (id) => [headers(id), headers(id)]],
    ['a malformed head', (id) => [headers(id, bad)]],
    ['another method', (id) => [headers(id, get)]],
  ])('streams that we have to reset: %s', async (_name, frames) => {
    const seen = await attack([...hello, ...repeat(3000, (index) => Buffer.concat(frames(index * 2 + 1)))])
    expect(await seen.goaway).toMatchObject({ code: errorCodes.enhanceYourCalm })
    expect(await seen.closed).toMatchObject({ code: 'protocol-error' })
  })

  test.each<[string, readonly Uint8Array[]]>([
    ['half of the preface', [preface.subarray(0, 10)]],
    ['half of SETTINGS', [preface, encodeSettings([[4, 1]]).subarray(0, 12)]],
    ['a head without its end', [...hello, encodeFrame(frameTypes.headers, 0, 1, connect)]],
    ['half of a frame', [...hello, headers(1), data(1, 100).subarray(0, 50)]],
  ])('a peer that stops in the middle: %s', async (_name, bytes) => {
    const seen = await attack(bytes, undefined, { pingIntervalMs: 50, pingTimeoutMs: 150 })
    expect(await seen.goaway).toMatchObject({ code: errorCodes.noError, debug: expect.stringContaining('PING') })
    expect(await seen.closed).toMatchObject({ code: 'protocol-error' })
  })

  test('DATA beyond the window of the stream', async () => {
    const seen = await attack([...hello, headers(1), ...repeat(5, () => data(1, 1 << 20))])
    expect(await seen.goaway).toMatchObject({ code: errorCodes.flowControlError })
  })

  test('DATA beyond the window of the connection', async () => {
    const streams = repeat(5, (index) => headers(index * 2 + 1))
    const full = repeat(20, (index) => data((index >> 2) * 2 + 1, 1 << 20))
    const seen = await attack([...hello, ...streams, ...full])
    expect(await seen.goaway).toMatchObject({ code: errorCodes.flowControlError })
  })
})

describe('one stream is reset, the session goes on', () => {
  test.each<[string, readonly Uint8Array[], number]>([
    [
      'pseudo-headers twice',
      [
        headers(
          1,
          encodeHeaders([
            [':method', 'CONNECT'],
            [':method', 'CONNECT'],
          ]),
        ),
      ],
      errorCodes.protocolError,
    ],
    ...['X-Upper', 'x y', 'x:y', '', 'x\ry', ':unknown', 'x\xe9'].map(
      (name): [string, readonly Uint8Array[], number] => [
        `a name of ${JSON.stringify(name)}`,
        [headers(1, encodeUnchecked([...pseudo, [name, 'a']]))],
        errorCodes.protocolError,
      ],
    ),
    ...['a\rb', 'a\nb', 'a\0b', ' a', 'a\t'].map((value): [string, readonly Uint8Array[], number] => [
      `a value of ${JSON.stringify(value)}`,
      [headers(1, encodeUnchecked([...pseudo, ['x', value]]))],
      errorCodes.protocolError,
    ]),
    ['a window update of 0', [headers(1), encodeWindowUpdate(1, 0)], errorCodes.protocolError],
    ['DATA after its end', [headers(1), data(1, 5, flags.endStream), data(1, 5)], errorCodes.streamClosed],
    ['trailers that do not end it', [headers(1), headers(1)], errorCodes.protocolError],
    ['more than 200 streams', repeat(201, (index) => headers(index * 2 + 1)), errorCodes.refusedStream],
  ])('%s', async (_name, frames, code) => {
    const seen = await attack([...hello, ...frames])
    await expect.poll(() => [...seen.resets.values()]).toContain(code)
    seen.socket.write(headers(9999))
    await expect.poll(() => seen.tunnels.length > 0 || seen.resets.size > 0).toBe(true)
    seen.socket.destroy()
    await seen.closed
  })

  test("DATA after a stream's end costs the connection none of its window", async () => {
    const frames = (id: number) => [headers(id), data(id, 1, flags.endStream), data(id, 60_000)]
    const seen = await attack([...hello, ...repeat(10, (index) => Buffer.concat(frames(index * 2 + 1)))], undefined, {
      connectionWindow: 128 << 10,
    })
    await expect.poll(() => seen.resets.size).toBe(10)
    seen.socket.destroy()
    expect(await seen.closed).not.toMatchObject({ code: 'protocol-error' })
  })

  test('DATA of one byte each in a stream that nobody reads for the moment', async () => {
    const total = 100_000
    const bytes = Buffer.alloc(total).map((_, index) => index % 251)
    const frames = Buffer.concat(
      Array.from(bytes, (_, index) => encodeFrame(frameTypes.data, 0, 1, bytes.subarray(index, index + 1))),
    )
    const duplexes: TunnelDuplex[] = []
    const seen = await attack([...hello, headers(1)], (request) => void duplexes.push(toDuplex(request.accept())))
    await expect.poll(() => duplexes).toHaveLength(1)
    const duplex = duplexes[0]!
    // It has been asked for: the stream fills up to its mark.
    duplex.pause()
    duplex.read(0)
    seen.socket.write(frames)
    seen.socket.write(encodeFrame(frameTypes.data, flags.endStream, 1, new Uint8Array(0)))
    await expect.poll(() => duplex.peerHasEnded).toBe(true)
    const chunks: Buffer[] = []
    duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
    const ended = new Promise((resolve) => duplex.once('end', resolve))
    duplex.resume()
    await ended
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    expect(chunks.length).toBeLessThan(6_000)
    seen.socket.destroy()
    await seen.closed
  })

  test('a stream that is refused while draining does not make a later GOAWAY name more than the one before', async () => {
    const [socket, server] = await tlsPair()
    const named: number[] = []
    const handlers = {
      data: () => undefined,
      dataEnd: () => undefined,
      frame: (type: number, _flags: number, _id: number, payload: Uint8Array) => {
        if (type === frameTypes.goaway) named.push(parseGoaway(payload).lastStreamId)
        if (type === frameTypes.ping) socket.write(encodePing(payload, true))
      },
    }
    const parser = new FrameParser(handlers, { maxFrameSize: 1 << 20 })
    socket.on('data', (chunk: Buffer) => parser.push(chunk)).on('error', () => undefined)
    const tunnels: Tunnel[] = []
    const session = acceptHbone(server, { onConnect: (request) => void tunnels.push(request.accept()) })
    socket.write(Buffer.concat([...hello, headers(1)]))
    await expect.poll(() => tunnels).toHaveLength(1)
    void session.drain()
    await expect.poll(() => named).toEqual([0x7fff_ffff, 1])
    // Refused, and then the only stream ends.
    socket.write(Buffer.concat([headers(3), encodeRstStream(1, errorCodes.cancel)]))
    await expect.poll(() => named).toEqual([0x7fff_ffff, 1, 1])
    socket.destroy()
    await session.closed
  })

  test('padding gives no memory back that is still in use', async () => {
    const kept: Buffer[] = []
    const seen = await attack([...hello, headers(1)], (request) => {
      const ignore = { end: () => undefined, drain: () => undefined, closed: () => undefined }
      request.accept().attach({ ...ignore, data: (chunk) => kept.push(chunk) })
    })
    const content = encodeFrame(frameTypes.data, 0, 1, Buffer.alloc(16_000, 'x'))
    const padding = encodeFrame(frameTypes.data, flags.padded, 1, Buffer.alloc(256).fill(255, 0, 1))
    // Far less than the window: nobody has consumed what was sent first.
    seen.socket.write(Buffer.concat([...repeat(4, () => content), ...repeat(500, () => padding)]))
    await expect.poll(() => seen.resets.size + kept.reduce((sum, { length }) => sum + length, 0)).toBe(64_000)
    await sleep(50)
    seen.socket.write(Buffer.concat(repeat(20, () => encodeFrame(frameTypes.data, 0, 1, Buffer.alloc(16_000, 'y')))))
    await expect.poll(() => kept.reduce((sum, { length }) => sum + length, 0)).toBe(384_000)
    expect(Buffer.concat(kept).subarray(0, 64_000).equals(Buffer.alloc(64_000, 'x'))).toBe(true)
    seen.socket.destroy()
    await seen.closed
  })

  test.each(['read slowly', 'not accepted yet'])(
    'DATA of one byte each, %s, costs little more than its bytes',
    async (when) => {
      const total = 200_000
      const bytes = Buffer.alloc(total).map((_, index) => index % 251)
      const frame = encodeFrame(frameTypes.data, 0, 1, new Uint8Array(1))
      const frames = Buffer.concat(Array.from({ length: total }, () => frame))
      for (let i = 0; i < total; i++) frames[(i + 1) * frame.length - 1] = bytes[i]!
      const end = encodeFrame(frameTypes.data, flags.endStream, 1, new Uint8Array(0))
      const requests: ConnectRequest[] = []
      const seen = await attack([...hello, headers(1)], (request) => void requests.push(request))
      await expect.poll(() => requests).toHaveLength(1)
      const chunks: Buffer[] = []
      let ended = false
      const accept = () => {
        const tunnel = requests[0]!.accept()
        tunnel.attach({
          data: (chunk, borrowed) => {
            chunks.push(borrowed ? Buffer.from(chunk) : chunk)
            // One chunk at a time, as a slow application takes them.
            if (chunks.length === 1) setTimeout(() => tunnel.consumed(chunk.length), 500)
          },
          end: () => {
            ended = true
          },
          drain: () => undefined,
          closed: () => undefined,
        })
        return tunnel
      }
      if (when === 'read slowly') accept()
      seen.socket.write(frames)
      seen.socket.write(end)
      if (when !== 'read slowly') {
        await sleep(500)
        accept()
      }
      await expect.poll(() => ended, { timeout: 3_000 }).toBe(true)
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
      expect(chunks.length).toBeLessThan(1_000)
      seen.socket.destroy()
      await seen.closed
    },
  )

  test('the end of a stream and its reset, in two records that arrive as one: the application is let go', async () => {
    const [app, inner] = await tcpPair()
    app.on('error', () => undefined).resume()
    const copy = Promise.withResolvers<Copy>()
    const seen = await attack([...hello, headers(1)], (request) => copy.resolve(pipeSocket(request.accept(), inner)))
    // Within one turn of the loop, each write makes a record of its own.
    seen.socket.once('data', () => {
      seen.socket.write(data(1, 3, flags.endStream))
      seen.socket.write(encodeRstStream(1, errorCodes.connectError))
    })
    await (await copy.promise).done
    seen.socket.destroy()
  })

  test('a header list that is too large is answered with 431', async () => {
    const large = Array.from({ length: 16 }, (_, index) => [`x-${index}`, '0'.repeat(4090)] as const)
    const seen = await attack([
      ...hello,
      headers(
        1,
        encodeHeaders([[':method', 'CONNECT'], [':authority', 'a:1'], ...large.slice(0, 15), ['x', '1'.repeat(3000)]]),
      ),
    ])
    await expect.poll(() => seen.resets.get(1) ?? 'goaway').toBeDefined()
    seen.socket.destroy()
    await seen.closed
  })
})

test('whatever arrives, only the session is lost', async () => {
  const frame = fc
    .record({
      type: fc.oneof(fc.constantFrom(...Object.values(frameTypes)), fc.nat(255)),
      flags: fc.nat(255),
      streamId: fc.constantFrom(0, 1, 2, 3, 5, 0x7fff_ffff),
      payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(connect)),
    })
    .map(({ type, flags, streamId, payload }) => encodeFrame(type, flags, streamId, payload))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(frame, fc.uint8Array({ maxLength: 30 })), { maxLength: 30 }), async (frames) => {
      const seen = await attack([...hello, ...frames])
      seen.socket.end()
      await seen.closed
      seen.socket.destroy()
    }),
    { numRuns: 150 },
  )
}, 60_000)
