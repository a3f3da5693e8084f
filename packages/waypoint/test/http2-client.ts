// An HTTP/2 client that sends whatever frames it is told to, right or wrong, and keeps what comes back.
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import {
  encodeFrame,
  encodeSettings,
  FrameParser,
  flags,
  frameTypes,
  HeaderBlockAssembler,
  HpackDecoder,
  parseGoaway,
  parseUint32,
  preface,
} from '@wishbone/core/h2'

export type Field = readonly [name: string, value: string]

export interface Http2Client {
  readonly socket: Duplex
  /** When the connection is over, by whomever. */
  readonly closed: Promise<void>
  readonly isClosed: boolean
  /** What the other end said when it ended the connection. */
  readonly goaway: { readonly code: number; readonly lastStreamId: number } | undefined
  /** Statuses of the responses that have begun, by stream. */
  readonly statuses: ReadonlyMap<number, string>
  /** Codes of RST_STREAM. */
  readonly resets: ReadonlyMap<number, number>
  readonly bodies: ReadonlyMap<number, string>
  /** Bytes of DATA that came, by stream. */
  readonly received: ReadonlyMap<number, number>
  send(...frames: readonly Uint8Array[]): void
}

/** Sends the preface, SETTINGS and an acknowledgement of the server's, to a port of the loopback or over what is open already. */
export function connectHttp2(
  to: number | Duplex,
  settings: readonly (readonly [id: number, value: number])[] = [],
): Http2Client {
  const socket = typeof to === 'number' ? net.connect({ port: to, host: '127.0.0.1' }) : to
  socket.on('error', () => {})
  const statuses = new Map<number, string>()
  const resets = new Map<number, number>()
  const bodies = new Map<number, string>()
  const received = new Map<number, number>()
  let goaway: Http2Client['goaway']
  let isClosed = false
  const closed = once(socket, 'close').then(
    () => void (isClosed = true),
    () => void (isClosed = true),
  )
  const decoder = new HpackDecoder({ maxHeaderListSize: 1 << 20 })
  const assembler = new HeaderBlockAssembler(1 << 20)
  const parser = new FrameParser({
    data(stream, piece) {
      received.set(stream, (received.get(stream) ?? 0) + piece.length)
      if ((bodies.get(stream)?.length ?? 0) < 4096)
        bodies.set(stream, (bodies.get(stream) ?? '') + Buffer.from(piece).toString('latin1'))
    },
    dataEnd() {},
    frame(type, frameFlags, stream, payload) {
      const head = assembler.frame(type, frameFlags, stream, payload)
      if (head !== undefined) {
        const status = decoder.decode(head.block).find(([name]) => name === ':status')?.[1]
        if (status !== undefined) statuses.set(stream, status)
      } else if (type === frameTypes.rstStream) resets.set(stream, parseUint32(payload))
      else if (type === frameTypes.goaway) goaway = parseGoaway(payload)
    },
  })
  socket.on('data', (chunk: Buffer) => parser.push(chunk))
  socket.write(Buffer.concat([preface, encodeSettings(settings), encodeSettings([], true)]))
  return {
    socket,
    closed,
    get isClosed() {
      return isClosed
    },
    get goaway() {
      return goaway
    },
    statuses,
    resets,
    bodies,
    received,
    send: (...frames) => void socket.write(Buffer.concat(frames)),
  }
}

/** Fields as they are, character by character, without compression. */
export function block(fields: readonly Field[]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1')
    return Buffer.concat([integer(bytes.length), bytes])
  }
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])))
}

/** An integer of a prefix of seven bits (RFC 7541 §5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 | (rest % 128))
  return Buffer.from([...bytes, rest])
}

export const get: readonly Field[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'h'],
]

export const post: readonly Field[] = [[':method', 'POST'], ...get.slice(1)]

/** HEADERS with all of a request's head. */
export function headers(stream: number, fields: readonly Field[], endStream = true): Uint8Array {
  return encodeFrame(frameTypes.headers, flags.endHeaders | (endStream ? flags.endStream : 0), stream, block(fields))
}

export function data(stream: number, content: Uint8Array | string, endStream = false): Uint8Array {
  return encodeFrame(frameTypes.data, endStream ? flags.endStream : 0, stream, Buffer.from(content))
}
