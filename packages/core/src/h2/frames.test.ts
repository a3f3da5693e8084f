import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeRstStream,
  encodeSettings,
  encodeWindowUpdate,
  errorCodes,
  FrameParser,
  type FrameParserOptions,
  flags,
  frameTypes,
  H2Error,
  HeaderBlockAssembler,
  headerBlockOf,
  parseGoaway,
  parseSettings,
  parseUint32,
  preface,
} from './index.ts'

type Event =
  | { data: number[]; streamId: number; length: number; endStream: boolean }
  | { type: number; flags: number; streamId: number; payload: number[] }

/** Parses chunks and joins the pieces of each DATA frame. */
function parse(chunks: readonly Uint8Array[], options: FrameParserOptions = {}): { events: Event[]; idle: boolean } {
  const events: Event[] = []
  let content: number[] = []
  const parser = new FrameParser(
    {
      data: (_, piece) => void content.push(...piece),
      dataEnd(streamId, length, endStream) {
        events.push({ data: content, streamId, length, endStream })
        content = []
      },
      frame: (type, frameFlags, streamId, payload) =>
        void events.push({ type, flags: frameFlags, streamId, payload: [...payload] }),
    },
    options,
  )
  for (const chunk of chunks) parser.push(chunk)
  return { events, idle: parser.idle }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** Cuts bytes at arbitrary places. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let offset = 0
  for (let i = 0; offset < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : Math.max(1, sizes[i % sizes.length]!)
    chunks.push(bytes.subarray(offset, (offset += size)))
  }
  return chunks
}

const payload = fc.uint8Array({ maxLength: 40 })
const stream = fc.integer({ min: 1, max: 0x7fff_ffff })
const frame = fc.oneof(
  fc
    .tuple(stream, payload, fc.boolean())
    .map(([id, bytes, end]) => encodeFrame(0, end ? flags.endStream : 0, id, bytes)),
  fc.tuple(stream, payload, fc.nat(20)).map(([id, bytes, padding]) => {
    const body = concat([Uint8Array.of(padding), bytes, new Uint8Array(padding)])
    return encodeFrame(frameTypes.data, flags.padded, id, body)
  }),
  fc
    .tuple(fc.integer({ min: 10, max: 255 }), fc.nat(255), fc.nat(), payload)
    .map(([type, f, id, b]) => encodeFrame(type, f, id, b)),
  fc.tuple(stream, fc.nat()).map(([id, code]) => encodeRstStream(id, code)),
  fc.tuple(stream, fc.nat()).map(([id, increment]) => encodeWindowUpdate(id, increment)),
  fc.constant(encodeSettings([[4, 65_536]])),
  fc.constant(encodePing(new Uint8Array(8), true)),
  fc.constant(encodeGoaway(3, 0, 'bye')),
  fc.tuple(stream, payload).map(([id, bytes]) => encodeFrame(frameTypes.headers, flags.endHeaders, id, bytes)),
)

describe('FrameParser', () => {
  test('the pieces in which bytes arrive make no difference', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(30), { maxLength: 5 }), (frames, sizes) => {
        const bytes = concat([preface, ...frames])
        const whole = parse([bytes], { expectPreface: true })
        expect(whole.events).toHaveLength(frames.length)
        expect(whole.idle).toBe(true)
        expect(parse(cut(bytes, sizes), { expectPreface: true })).toEqual(whole)
        expect(parse(cut(bytes, [1]), { expectPreface: true })).toEqual(whole)
      }),
    )
  })

  test('the content of DATA is a view, without padding, and its whole length counts for flow control', () => {
    const bytes = encodeFrame(frameTypes.data, flags.padded | flags.endStream, 5, Uint8Array.of(2, 65, 66, 67, 0, 0))
    const views: Uint8Array[] = []
    const parser = new FrameParser({
      data: (_, piece) => void views.push(piece),
      dataEnd: (...args) => expect(args).toEqual([5, 6, true]),
      frame: () => expect.unreachable(),
    })
    parser.push(bytes)
    expect(views.map((view) => [...view])).toEqual([[65, 66, 67]])
    expect(views[0]!.buffer).toBe(bytes.buffer)
  })

  test('random bytes throw nothing but H2Error', () => {
    const typed = fc
      .tuple(fc.nat(11), fc.nat(255), fc.constantFrom(0, 1, 3), payload)
      .map(([t, f, id, b]) => encodeFrame(t, f, id, b))
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.array(typed, { maxLength: 5 }).map(concat))
    fc.assert(
      fc.property(bytes, fc.boolean(), (input, expectPreface) => {
        try {
          const assembler = new HeaderBlockAssembler()
          const parser = new FrameParser(
            {
              data: () => assembler.interrupted(),
              dataEnd: () => {},
              frame(type, frameFlags, streamId, body) {
                assembler.frame(type, frameFlags, streamId, body)
                if (type === frameTypes.settings) parseSettings(body)
                if (type === frameTypes.goaway) parseGoaway(body)
              },
            },
            { expectPreface },
          )
          parser.push(input)
        } catch (error) {
          expect(error).toBeInstanceOf(H2Error)
        }
      }),
      { numRuns: 3000 },
    )
  })

  const wrong: [string, Uint8Array, number][] = [
    ['DATA on stream 0', encodeFrame(0, 0, 0, new Uint8Array(1)), errorCodes.protocolError],
    ['HEADERS on stream 0', encodeFrame(1, 4, 0, new Uint8Array(1)), errorCodes.protocolError],
    ['SETTINGS on a stream', encodeFrame(4, 0, 1, new Uint8Array(6)), errorCodes.protocolError],
    ['SETTINGS of 5 bytes', encodeFrame(4, 0, 0, new Uint8Array(5)), errorCodes.frameSizeError],
    ['SETTINGS acknowledgement with content', encodeFrame(4, 1, 0, new Uint8Array(6)), errorCodes.frameSizeError],
    ['PING of 7 bytes', encodeFrame(6, 0, 0, new Uint8Array(7)), errorCodes.frameSizeError],
    ['PING on a stream', encodeFrame(6, 0, 1, new Uint8Array(8)), errorCodes.protocolError],
    ['GOAWAY of 7 bytes', encodeFrame(7, 0, 0, new Uint8Array(7)), errorCodes.frameSizeError],
    ['RST_STREAM of 3 bytes', encodeFrame(3, 0, 1, new Uint8Array(3)), errorCodes.frameSizeError],
    ['WINDOW_UPDATE of 5 bytes', encodeFrame(8, 0, 1, new Uint8Array(5)), errorCodes.frameSizeError],
    ['more padding than payload', encodeFrame(0, 8, 1, Uint8Array.of(3, 0, 0)), errorCodes.protocolError],
    ['padding without its length', encodeFrame(0, 8, 1, new Uint8Array(0)), errorCodes.frameSizeError],
    ['a DATA frame that is too large', encodeFrame(0, 0, 1, new Uint8Array(16_385)), errorCodes.frameSizeError],
  ]
  test.each(wrong)('refuses %s', (_, bytes, code) => {
    expect(() => parse([bytes])).toThrow(expect.objectContaining({ name: 'H2Error', code, scope: 'connection' }))
  })

  test('refuses a frame by its header, before its payload is there', () => {
    const header = encodeFrame(frameTypes.headers, 0, 1, new Uint8Array(70_000)).subarray(0, 9)
    expect(() => parse([header], { maxFrameSize: 1 << 20 })).toThrow(H2Error)
    expect(parse([encodeFrame(0, 0, 1, new Uint8Array(70_000))], { maxFrameSize: 1 << 20 }).events).toHaveLength(1)
  })

  test('refuses what is not HTTP/2', () => {
    const http1 = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(() => parse([http1], { expectPreface: true })).toThrow('preface')
    expect(() => parse(cut(http1, [1]), { expectPreface: true })).toThrow('preface')
  })
})

describe('payloads', () => {
  test('settings', () => {
    const settings: [number, number][] = [
      [4, 4 << 20],
      [99, 0xffff_ffff],
    ]
    expect(parseSettings(encodeSettings(settings).subarray(9))).toEqual(settings)
    for (const bad of [
      [2, 2],
      [4, 0x8000_0000],
      [5, 16_383],
      [5, 0x100_0000],
    ] as const)
      expect(() => parseSettings(encodeSettings([bad]).subarray(9))).toThrow(H2Error)
  })

  test('goaway and window updates', () => {
    expect(parseGoaway(encodeGoaway(0x7fff_ffff, 11, 'calm').subarray(9))).toEqual({
      lastStreamId: 0x7fff_ffff,
      code: 11,
      debug: 'calm',
    })
    expect(parseUint32(encodeWindowUpdate(1, 0x7fff_ffff), 9)).toBe(0x7fff_ffff)
  })

  test('a header block without padding and priority', () => {
    const body = Uint8Array.of(1, 0, 0, 0, 0, 9, 7, 8, 0)
    expect([...headerBlockOf(flags.padded | flags.priority, body)]).toEqual([7, 8])
    expect(() => headerBlockOf(flags.priority, new Uint8Array(4))).toThrow(H2Error)
    expect(() => headerBlockOf(flags.padded, Uint8Array.of(2, 0))).toThrow(H2Error)
    expect(() => headerBlockOf(flags.padded, new Uint8Array(0))).toThrow(H2Error)
  })
})

describe('HeaderBlockAssembler', () => {
  const { headers, continuation, ping } = frameTypes
  test('joins continuations', () => {
    const assembler = new HeaderBlockAssembler()
    expect(assembler.frame(headers, flags.endStream, 3, Uint8Array.of(1))).toBeUndefined()
    expect(assembler.frame(continuation, 0, 3, Uint8Array.of(2))).toBeUndefined()
    const block = assembler.frame(continuation, flags.endHeaders, 3, Uint8Array.of(3))
    expect(block).toEqual({ streamId: 3, endStream: true, block: Uint8Array.of(1, 2, 3) })
    expect(assembler.frame(ping, 0, 0, new Uint8Array(8))).toBeUndefined()
  })

  test.each([
    ['another frame', ping, 0],
    ['another stream', continuation, 5],
    ['other headers', headers, 3],
  ])('refuses %s in between', (_, type, streamId) => {
    const assembler = new HeaderBlockAssembler()
    assembler.frame(headers, 0, 3, Uint8Array.of(1))
    expect(() => assembler.frame(type, 0, streamId, new Uint8Array(0))).toThrow(H2Error)
  })

  test('refuses a continuation of nothing, and DATA in between', () => {
    const assembler = new HeaderBlockAssembler()
    expect(() => assembler.frame(continuation, 0, 3, new Uint8Array(0))).toThrow(H2Error)
    assembler.frame(headers, 0, 3, new Uint8Array(0))
    expect(() => assembler.interrupted()).toThrow(H2Error)
  })

  test.each([0, 100])('refuses an endless row of continuations of %i bytes', (size) => {
    const assembler = new HeaderBlockAssembler(1000)
    assembler.frame(headers, 0, 3, new Uint8Array(0))
    expect(() => {
      for (let i = 0; i < 100; i++) assembler.frame(continuation, 0, 3, new Uint8Array(size))
    }).toThrow(expect.objectContaining({ code: errorCodes.enhanceYourCalm }))
  })
})
