// One stream of a session, seen from both sides: a Tunnel for its user, and frames for the session.
//
// Lifecycle: open → our side ended (`end`) and the peer's side ended (END_STREAM) in any order → closed; or reset by either side →
// closed at once. Sending stops at the stream's window, the connection's window and a busy connection; what is written then is kept
// (at most what one write brought) and `write` says false. Received bytes give window back only when the sink calls `consumed`.

import type { MeshError } from '@wishbone/core/errors'
import {
  encodeFrameHeader,
  encodeWindowUpdate,
  errorCodes,
  flags,
  frameHeaderLength,
  frameTypes,
  H2Error,
} from '@wishbone/core/h2'
import type { SpiffeId } from '@wishbone/core/identity'
import { ReceiveWindow } from './flow.ts'
import { Gather } from './gather.ts'
import { Holdings, type Slab } from './memory.ts'
import { resetCodeOf } from './reset.ts'
import type { Headers, Tunnel, TunnelSink } from './types.ts'

/** What a stream needs of its session. */
export interface StreamHost {
  readonly peer: SpiffeId | undefined
  readonly remoteAddress: string
  readonly remotePort: number
  /** Bytes of DATA that the connection's window allows. */
  sendWindow: number
  /** Largest DATA frame that the peer takes. */
  readonly sendFrameSize: number
  readonly settings: { readonly streamWindow: number }
  readonly writing: boolean
  write(frame: Uint8Array, borrowed: boolean): void
  /** The stream has more to send, but the connection is busy or its window used up: `resume` is to be called later. */
  blocked(stream: H2Stream): void
  /** Gives connection window back. */
  consumed(bytes: number): void
  sendReset(streamId: number, code: number): void
  /** The stream is closed and takes no place any more. */
  remove(stream: H2Stream): void
}

/** A stream that sends nothing for so many turns is not held any more. */
const quietTurnsAllowed = 3

/** So many small pieces are handed on one by one while something is unconsumed. */
const mostSmallPieces = 64
const smallPiece = 1 << 10

export class H2Stream implements Tunnel {
  readonly streamId: number
  readonly authority: string
  headers: Headers = {}
  sent = 0
  received = 0
  /** Set by the session while a request waits for its answer. */
  onClosedEarly: ((error: MeshError | undefined) => void) | undefined
  /** Somebody has been handed the tunnel and will attach to it: what arrives until then is kept, even if the stream ends with it. */
  handedOver = false
  readonly #host: StreamHost
  #sendWindow: number
  readonly #window: ReceiveWindow
  /** Delivered or kept, but not yet consumed. */
  #unconsumed = 0
  readonly #holdings = new Holdings()
  #sink: TunnelSink | undefined
  /** Small pieces since everything was consumed. */
  #smallPieces = 0
  #gather: Gather | undefined
  /** Arrived before there was a sink. */
  #early: Buffer[] = []
  #pending: Buffer[] = []
  #wantsDrain = false
  /** Times that it was held since it last sent something. */
  #quietTurns = 0
  #localEnd: 'open' | 'wanted' | 'sent' = 'open'
  #remoteEnded = false
  #closed = false
  #error: MeshError | undefined

  constructor(host: StreamHost, streamId: number, authority: string, sendWindow: number) {
    this.#host = host
    this.streamId = streamId
    this.authority = authority
    this.#sendWindow = sendWindow
    this.#window = new ReceiveWindow(host.settings.streamWindow)
  }

  get peer(): SpiffeId | undefined {
    return this.#host.peer
  }

  get remoteAddress(): string {
    return this.#host.remoteAddress
  }

  get remotePort(): number {
    return this.#host.remotePort
  }

  get closed(): boolean {
    return this.#closed
  }

  get remoteEnded(): boolean {
    return this.#remoteEnded
  }

  attach(sink: TunnelSink): void {
    this.#sink = sink
    const early = this.#early
    this.#early = []
    for (const chunk of early) sink.data(chunk, false)
    this.#passGathered()
    if (this.#remoteEnded) sink.end()
    if (this.#closed) sink.closed(this.#error)
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#localEnd !== 'open') return true
    // Node's streams write nothing at all now and then; kept, it would look like a window that never opens.
    if (bytes.length === 0) return this.#pending.length === 0
    this.sent += bytes.length
    this.#pending.push(Buffer.from(bytes))
    return this.#flush()
  }

  /** As `write`, for a payload that stands in `buffer` after room for one frame header: usually sent without a copy. */
  writeFramed(buffer: Buffer, length: number): boolean {
    if (this.#closed || this.#localEnd !== 'open') return true
    this.sent += length
    this.#quietTurns = 0
    const host = this.#host
    if (
      this.#pending.length > 0 ||
      length > this.#sendWindow ||
      length > host.sendWindow ||
      length > host.sendFrameSize
    ) {
      this.#pending.push(Buffer.from(buffer.subarray(frameHeaderLength, frameHeaderLength + length)))
      return this.#flush()
    }
    this.#sendWindow -= length
    host.sendWindow -= length
    encodeFrameHeader(buffer, 0, length, frameTypes.data, 0, this.streamId)
    host.write(buffer.subarray(0, frameHeaderLength + length), true)
    return this.#goOn()
  }

  end(): void {
    if (this.#closed || this.#localEnd !== 'open') return
    this.#localEnd = 'wanted'
    this.#flush()
  }

  consumed(bytes: number): void {
    const taken = Math.min(bytes, this.#unconsumed)
    this.#unconsumed -= taken
    this.#holdings.release(taken)
    this.#giveBack(taken)
    // The sink has nothing more in hand.
    if (this.#unconsumed === this.#gather?.length) this.#passGathered()
  }

  reset(reason: MeshError): void {
    this.resetWith(resetCodeOf(reason), reason)
  }

  /** Sends RST_STREAM. Without a reason the stream counts as ended in order. */
  resetWith(code: number, reason: MeshError | undefined): void {
    if (this.#closed) return
    this.#host.sendReset(this.streamId, code)
    this.fail(reason)
  }

  /** A part of a DATA frame. The chunk may be kept until it is consumed; without a slab, for ever. */
  receive(chunk: Buffer, slab: Slab | undefined): void {
    const length = chunk.length
    this.#spend(length)
    this.received += length
    if (this.#unconsumed === 0) this.#smallPieces = 0
    const gathers = length < smallPiece && ++this.#smallPieces > mostSmallPieces
    if (!gathers || this.#gather?.hasRoom(length) === false) this.#passGathered()
    // The sink may have reset the stream over that.
    if (this.#closed) {
      this.#host.consumed(length)
      return
    }
    this.#unconsumed += length
    if (gathers) {
      this.#gather ??= new Gather()
      this.#gather.add(chunk)
      this.#holdings.add(undefined, length)
    } else {
      this.#holdings.add(this.#sink === undefined ? undefined : slab, length)
      this.#pass(chunk, slab !== undefined)
    }
  }

  #pass(chunk: Buffer, borrowed: boolean): void {
    if (this.#sink !== undefined) this.#sink.data(chunk, borrowed)
    else this.#early.push(borrowed ? Buffer.from(chunk) : chunk)
  }

  #passGathered(): void {
    const chunk = this.#gather?.take()
    if (chunk !== undefined) this.#pass(chunk, false)
  }

  /** Padding costs window like data, and is given back at once: the window alone, for the memory that is held is that of the data. */
  receivePadding(length: number): void {
    this.#spend(length)
    this.#giveBack(length)
  }

  receiveEnd(): void {
    if (this.#remoteEnded)
      throw new H2Error(errorCodes.streamClosed, 'a second end of a stream', 'stream', this.streamId)
    this.#passGathered()
    if (this.#closed) return
    this.#remoteEnded = true
    this.#sink?.end()
    if (this.#localEnd === 'sent') this.fail(undefined)
  }

  /** RST_STREAM from the peer. NO_ERROR and CANCEL read as the end of its direction (ambient wire §1.8). */
  receiveReset(error: MeshError | undefined): void {
    if (error === undefined && !this.#remoteEnded) {
      this.#passGathered()
      if (this.#closed) return
      this.#remoteEnded = true
      this.#sink?.end()
    }
    this.fail(error)
  }

  receiveWindow(increment: number): void {
    if (increment === 0) throw new H2Error(errorCodes.protocolError, 'a WINDOW_UPDATE of 0', 'stream', this.streamId)
    this.shiftWindow(increment)
    this.resume()
  }

  /** WINDOW_UPDATE, or a change of the peer's INITIAL_WINDOW_SIZE; may leave the window negative (RFC 9113 §6.9.2). */
  shiftWindow(change: number): void {
    this.#sendWindow += change
    if (this.#sendWindow <= 0x7fff_ffff) return
    throw new H2Error(errorCodes.flowControlError, "the stream's window grows beyond 2^31-1", 'stream', this.streamId)
  }

  /** The connection has room again, or its window does. */
  resume(): void {
    if (!this.#closed && this.#flush() && this.#wantsDrain) {
      this.#wantsDrain = false
      this.#sink?.drain()
    }
  }

  /** The connection is busy. Pauses the source if it has been sending lately; true when it then waits for its turn. */
  hold(): boolean {
    if (this.#closed || this.#localEnd !== 'open' || this.#sink?.pause === undefined) return false
    if (this.#quietTurns++ === quietTurnsAllowed) return false
    this.#wantsDrain = true
    this.#sink.pause()
    return true
  }

  /** Closes the stream without a frame. */
  fail(error: MeshError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#pending = []
    if (error !== undefined || (this.#sink === undefined && !this.handedOver)) this.abandon()
    this.#host.remove(this)
    this.onClosedEarly?.(error)
    this.#sink?.closed(error)
  }

  /**
   * What was received will never be consumed. Also to be called of a stream that has ended: the connection's window must not shrink
   * by it.
   */
  abandon(): void {
    this.#early = []
    this.#gather = undefined
    this.#host.consumed(this.#unconsumed)
    this.#holdings.release(this.#unconsumed)
    this.#unconsumed = 0
  }

  #giveBack(bytes: number): void {
    if (bytes === 0) return
    this.#host.consumed(bytes)
    if (this.#closed || this.#remoteEnded) return
    const increment = this.#window.consume(bytes)
    if (increment > 0) this.#host.write(encodeWindowUpdate(this.streamId, increment), false)
  }

  #spend(length: number): void {
    if (this.#remoteEnded) {
      // The connection goes on, and its window has paid for it.
      this.#host.consumed(length)
      throw new H2Error(errorCodes.streamClosed, 'DATA after the end of the stream', 'stream', this.streamId)
    }
    if (!this.#window.spend(length)) {
      throw new H2Error(errorCodes.flowControlError, "DATA beyond the stream's window", 'connection', this.streamId)
    }
  }

  /** Sends what windows allow of what is kept. True when nothing is left and more may come at once. */
  #flush(): boolean {
    while (this.#pending.length > 0) {
      const host = this.#host
      const chunk = this.#pending[0]!
      const length = Math.min(chunk.length, this.#sendWindow, host.sendWindow)
      if (length <= 0) {
        this.#wantsDrain = true
        if (this.#sendWindow > 0) host.blocked(this)
        return false
      }
      host.write(framesOf(chunk.subarray(0, length), this.streamId, host.sendFrameSize), false)
      this.#sendWindow -= length
      host.sendWindow -= length
      if (length < chunk.length) this.#pending[0] = chunk.subarray(length)
      else this.#pending.shift()
    }
    if (this.#localEnd === 'wanted') {
      this.#localEnd = 'sent'
      this.#host.write(endFrame(this.streamId), false)
      if (this.#remoteEnded) this.fail(undefined)
      return true
    }
    return this.#goOn()
  }

  #goOn(): boolean {
    if (!this.#host.writing) return true
    this.#wantsDrain = true
    this.#host.blocked(this)
    return false
  }
}

/** A payload as DATA frames of at most `frameSize`, in one buffer: one write, however small the peer's frames are. */
function framesOf(payload: Buffer, streamId: number, frameSize: number): Buffer {
  const count = Math.ceil(payload.length / frameSize)
  const frames = Buffer.allocUnsafe(payload.length + count * frameHeaderLength)
  for (let from = 0, at = 0; from < payload.length; from += frameSize) {
    const length = Math.min(frameSize, payload.length - from)
    encodeFrameHeader(frames, at, length, frameTypes.data, 0, streamId)
    payload.copy(frames, at + frameHeaderLength, from, from + length)
    at += frameHeaderLength + length
  }
  return frames
}

function endFrame(streamId: number): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderLength)
  encodeFrameHeader(frame, 0, 0, frameTypes.data, flags.endStream, streamId)
  return frame
}
