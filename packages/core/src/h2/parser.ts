// Bytes to frames, in whatever pieces they arrive. DATA is handed on as it comes, without a copy; every other frame is
// collected first. The parser checks what a frame alone can be wrong about (RFC 9113 §4.2, §6); it knows no streams,
// no flow control and no order of frames: HeaderBlockAssembler and the caller do.
import { errorCodes, flags, frameHeaderLength, frameTypes, preface } from './constants.ts'
import { H2Error } from './error.ts'
import { parseUint32 } from './payload.ts'

/** Called synchronously from push. What it throws leaves push, and the parser must not be used again. */
export interface FrameHandler {
  /** A piece of a DATA frame's content: a view of the pushed chunk, valid until this returns. */
  data(streamId: number, piece: Uint8Array): void
  /** A DATA frame is complete. `length` is what it costs of the flow-control window, padding included. */
  dataEnd(streamId: number, length: number, endStream: boolean): void
  /** Any other frame, unknown types included. `payload` is valid until this returns. */
  frame(type: number, frameFlags: number, streamId: number, payload: Uint8Array): void
}

export interface FrameParserOptions {
  /** The SETTINGS_MAX_FRAME_SIZE that we have sent; default 16384. */
  readonly maxFrameSize?: number
  /** Largest frame that is not DATA, since those are collected in memory; default 65536 or maxFrameSize if that is less. */
  readonly maxControlFrameSize?: number
  /** A server's parser reads the client's connection preface first. */
  readonly expectPreface?: boolean
}

const empty = new Uint8Array(0)

export class FrameParser {
  readonly #handler: FrameHandler
  readonly #maxFrameSize: number
  readonly #maxControlFrameSize: number
  readonly #header = new Uint8Array(frameHeaderLength)
  /** Bytes of the preface still to be read. */
  #preface: number
  /** Bytes of the header read so far; 9 while the payload is being read. */
  #have = 0
  #length = 0
  #type = 0
  #flags = 0
  #streamId = 0
  /** Bytes of the payload still to come. */
  #rest = 0
  /** Padding at the end of a DATA frame; -1 while its length is not known yet. */
  #padding = 0
  #collected: Uint8Array = empty
  #collectedLength = 0

  constructor(handler: FrameHandler, options: FrameParserOptions = {}) {
    this.#handler = handler
    this.#maxFrameSize = options.maxFrameSize ?? 16_384
    this.#maxControlFrameSize = Math.min(options.maxControlFrameSize ?? 65_536, this.#maxFrameSize)
    this.#preface = options.expectPreface === true ? preface.length : 0
  }

  /** Whether everything pushed so far ended at the end of a frame. */
  get idle(): boolean {
    return this.#have === 0 && (this.#preface === 0 || this.#preface === preface.length)
  }

  /** Takes the next bytes of the connection. Throws H2Error when they break the protocol. */
  push(chunk: Uint8Array): void {
    let offset = this.#preface > 0 ? this.#readPreface(chunk) : 0
    while (offset < chunk.length) {
      if (this.#have < frameHeaderLength) {
        offset = this.#readHeader(chunk, offset)
        if (this.#have < frameHeaderLength) return
        this.#begin()
        if (this.#rest === 0) this.#finish(empty)
        continue
      }
      const end = Math.min(chunk.length, offset + this.#rest)
      if (this.#type === frameTypes.data) this.#readData(chunk, offset, end)
      else this.#collect(chunk, offset, end)
      offset = end
    }
  }

  #readPreface(chunk: Uint8Array): number {
    const count = Math.min(this.#preface, chunk.length)
    const done = preface.length - this.#preface
    for (let i = 0; i < count; i++)
      if (chunk[i] !== preface[done + i]) throw protocolError('the connection does not begin with the HTTP/2 preface')
    this.#preface -= count
    return count
  }

  #readHeader(chunk: Uint8Array, start: number): number {
    let offset = start
    while (this.#have < frameHeaderLength && offset < chunk.length) this.#header[this.#have++] = chunk[offset++]!
    return offset
  }

  #begin(): void {
    const header = this.#header
    this.#length = (header[0]! << 16) | (header[1]! << 8) | header[2]!
    this.#type = header[3]!
    this.#flags = header[4]!
    this.#streamId = parseUint32(header, 5) & 0x7fff_ffff
    const isData = this.#type === frameTypes.data
    if (this.#length > (isData ? this.#maxFrameSize : this.#maxControlFrameSize))
      throw new H2Error(errorCodes.frameSizeError, `a frame of ${this.#length} bytes is larger than allowed`)
    checkFrame(this.#type, this.#flags, this.#streamId, this.#length)
    this.#rest = this.#length
    this.#padding = isData && (this.#flags & flags.padded) !== 0 ? -1 : 0
    this.#collectedLength = 0
  }

  #readData(chunk: Uint8Array, start: number, end: number): void {
    let offset = start
    if (this.#padding < 0) {
      this.#padding = chunk[offset++]!
      this.#rest--
      if (this.#padding > this.#rest) throw protocolError('a DATA frame has more padding than payload')
    }
    const content = Math.min(end - offset, this.#rest - this.#padding)
    this.#rest -= end - offset
    if (content > 0) this.#handler.data(this.#streamId, chunk.subarray(offset, offset + content))
    if (this.#rest === 0) this.#finish(empty)
  }

  #collect(chunk: Uint8Array, start: number, end: number): void {
    const part = chunk.subarray(start, end)
    this.#rest -= part.length
    if (this.#rest === 0 && this.#collectedLength === 0) {
      this.#finish(part)
      return
    }
    if (this.#collected.length < this.#length) {
      const larger = new Uint8Array(this.#length)
      larger.set(this.#collected.subarray(0, this.#collectedLength))
      this.#collected = larger
    }
    this.#collected.set(part, this.#collectedLength)
    this.#collectedLength += part.length
    if (this.#rest === 0) this.#finish(this.#collected.subarray(0, this.#length))
  }

  #finish(payload: Uint8Array): void {
    this.#have = 0
    // A large buffer is not kept for a connection that may be idle from here on.
    if (this.#collected.length > 4096) this.#collected = empty
    if (this.#type === frameTypes.data)
      this.#handler.dataEnd(this.#streamId, this.#length, (this.#flags & flags.endStream) !== 0)
    else this.#handler.frame(this.#type, this.#flags, this.#streamId, payload)
  }
}

/** What a frame's header alone can have wrong (RFC 9113 §6.1 to §6.10). */
function checkFrame(type: number, frameFlags: number, streamId: number, length: number): void {
  switch (type) {
    case frameTypes.data:
    case frameTypes.headers:
    case frameTypes.continuation:
    case frameTypes.pushPromise:
      if (streamId === 0) throw protocolError(`a frame of type ${type} on stream 0`)
      if (type === frameTypes.data && (frameFlags & flags.padded) !== 0 && length === 0)
        throw new H2Error(errorCodes.frameSizeError, 'a padded DATA frame without a pad length')
      return
    case frameTypes.priority:
      if (streamId === 0) throw protocolError('a PRIORITY frame on stream 0')
      return
    case frameTypes.rstStream:
      if (streamId === 0) throw protocolError('an RST_STREAM frame on stream 0')
      if (length !== 4) throw new H2Error(errorCodes.frameSizeError, `an RST_STREAM frame of ${length} bytes`)
      return
    case frameTypes.settings:
      if (streamId !== 0) throw protocolError('a SETTINGS frame on a stream')
      if (length % 6 !== 0 || ((frameFlags & flags.ack) !== 0 && length !== 0))
        throw new H2Error(errorCodes.frameSizeError, `a SETTINGS frame of ${length} bytes`)
      return
    case frameTypes.ping:
      if (streamId !== 0) throw protocolError('a PING frame on a stream')
      if (length !== 8) throw new H2Error(errorCodes.frameSizeError, `a PING frame of ${length} bytes`)
      return
    case frameTypes.goaway:
      if (streamId !== 0) throw protocolError('a GOAWAY frame on a stream')
      if (length < 8) throw new H2Error(errorCodes.frameSizeError, `a GOAWAY frame of ${length} bytes`)
      return
    case frameTypes.windowUpdate:
      if (length !== 4) throw new H2Error(errorCodes.frameSizeError, `a WINDOW_UPDATE frame of ${length} bytes`)
      return
  }
}

function protocolError(message: string): H2Error {
  return new H2Error(errorCodes.protocolError, message)
}
