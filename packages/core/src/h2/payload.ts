// The payloads of collected frames.
import { errorCodes, flags, frameTypes } from './constants.ts'
import { H2Error } from './error.ts'

export function parseUint32(bytes: Uint8Array, offset = 0): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0
}

/** The settings of a SETTINGS frame, checked (RFC 9113 §6.5.2); unknown ones are included. Throws H2Error. */
export function parseSettings(payload: Uint8Array): readonly (readonly [id: number, value: number])[] {
  const settings: (readonly [number, number])[] = []
  for (let offset = 0; offset + 6 <= payload.length; offset += 6) {
    const id = (payload[offset]! << 8) | payload[offset + 1]!
    const value = parseUint32(payload, offset + 2)
    if (id === 2 && value > 1) throw new H2Error(errorCodes.protocolError, `ENABLE_PUSH of ${value}`)
    if (id === 4 && value > 0x7fff_ffff)
      throw new H2Error(errorCodes.flowControlError, `INITIAL_WINDOW_SIZE of ${value}`)
    if (id === 5 && (value < 16_384 || value > 16_777_215))
      throw new H2Error(errorCodes.protocolError, `MAX_FRAME_SIZE of ${value}`)
    settings.push([id, value])
  }
  return settings
}

export interface Goaway {
  readonly lastStreamId: number
  readonly code: number
  /** At most 256 characters. */
  readonly debug: string
}

/** A GOAWAY frame's payload (at least 8 bytes, which FrameParser has checked). */
export function parseGoaway(payload: Uint8Array): Goaway {
  return {
    lastStreamId: parseUint32(payload) & 0x7fff_ffff,
    code: parseUint32(payload, 4),
    debug: new TextDecoder().decode(payload.subarray(8, 264)),
  }
}

/** The header block fragment in a HEADERS frame, without padding and priority. Throws H2Error. */
export function headerBlockOf(frameFlags: number, payload: Uint8Array): Uint8Array {
  const padded = (frameFlags & flags.padded) !== 0
  const start = (padded ? 1 : 0) + ((frameFlags & flags.priority) !== 0 ? 5 : 0)
  const end = payload.length - (padded ? (payload[0] ?? 0) : 0)
  if (start > payload.length) throw new H2Error(errorCodes.frameSizeError, 'a HEADERS frame that is too short')
  if (start > end) throw new H2Error(errorCodes.protocolError, 'a HEADERS frame has more padding than payload')
  return payload.subarray(start, end)
}

/** A header block that is complete. */
export interface HeaderBlock {
  readonly streamId: number
  readonly endStream: boolean
  readonly block: Uint8Array
}

/**
 * Joins HEADERS with its CONTINUATION frames, and insists that nothing comes between them. Give it every collected
 * frame, and call interrupted() for DATA.
 */
export class HeaderBlockAssembler {
  readonly #maxBlockSize: number
  #streamId = 0
  #endStream = false
  #parts: Uint8Array[] = []
  #size = 0

  /** `maxBlockSize`: bytes of one compressed block, all its frames together. */
  constructor(maxBlockSize = 65_536) {
    this.#maxBlockSize = maxBlockSize
  }

  /** The block, once it is complete; undefined before, and for frames that carry none. Throws H2Error. */
  frame(type: number, frameFlags: number, streamId: number, payload: Uint8Array): HeaderBlock | undefined {
    if (this.#streamId !== 0) {
      if (type !== frameTypes.continuation || streamId !== this.#streamId) this.interrupted()
      this.#add(payload)
    } else if (type === frameTypes.continuation) {
      throw new H2Error(errorCodes.protocolError, 'a CONTINUATION frame without HEADERS')
    } else if (type !== frameTypes.headers) return undefined
    else {
      const block = headerBlockOf(frameFlags, payload)
      const endStream = (frameFlags & flags.endStream) !== 0
      if ((frameFlags & flags.endHeaders) !== 0) return { streamId, endStream, block }
      this.#streamId = streamId
      this.#endStream = endStream
      this.#add(block)
    }
    if ((frameFlags & flags.endHeaders) === 0) return undefined
    const complete = { streamId, endStream: this.#endStream, block: join(this.#parts, this.#size) }
    this.#streamId = 0
    this.#parts = []
    this.#size = 0
    return complete
  }

  /** Another frame came: an error if a header block is open. */
  interrupted(): void {
    if (this.#streamId !== 0)
      throw new H2Error(errorCodes.protocolError, 'a header block is interrupted by another frame')
  }

  #add(part: Uint8Array): void {
    this.#size += part.length
    // Frames without content cost the peer nothing and us a part each: they count as well.
    if (this.#size + this.#parts.length * 32 > this.#maxBlockSize)
      throw new H2Error(errorCodes.enhanceYourCalm, `a header block is larger than ${this.#maxBlockSize} bytes`)
    this.#parts.push(part.slice())
  }
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
