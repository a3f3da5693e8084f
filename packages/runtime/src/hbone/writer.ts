// Writes frames to the TLS connection so that the shared read buffer can be handed over without a copy: a write to an idle TLS
// socket is encrypted before it returns; while one is under way, frames wait here, copied if their bytes are borrowed.
import type { TLSSocket } from 'node:tls'
import { encodeGoaway } from '@wishbone/core/h2'

/**
 * Frames that may wait for a peer that does not read. Data never gets there: its sources are paused, each with a chunk or two.
 * Answers to what costs the peer nothing could be any number.
 */
const maxQueued = 16_384

/** A peer that does not close its side after our FIN is cut off. */
const lingerMs = 5_000

export class FrameWriter {
  readonly #socket: TLSSocket
  readonly #onIdle: () => void
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #busy = false
  #ending = false
  #lingering = false
  #lastNamed = 0x7fff_ffff

  /** `onIdle` is called when everything written has gone to the kernel after a time in which it had not. */
  constructor(socket: TLSSocket, onIdle: () => void) {
    this.#socket = socket
    this.#onIdle = onIdle
  }

  /** Whether bytes wait for the kernel. Sources should pause until onIdle. */
  get busy(): boolean {
    return this.#busy
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** More frames wait than an honest peer would leave unread. */
  get overflows(): boolean {
    return this.#queue.length > maxQueued
  }

  /** Sends a frame. `borrowed` bytes may be reused by the caller after the call. */
  write(frame: Uint8Array, borrowed: boolean): void {
    if (this.#ending || this.#socket.destroyed) return
    if (this.#busy) {
      this.#queue.push(borrowed ? Buffer.from(frame) : frame)
      this.#queuedBytes += frame.length
      return
    }
    this.#busy = true
    this.#socket.write(frame, this.#onWritten)
    if (this.#socket.writableLength === 0) this.#busy = false
  }

  /** Sends GOAWAY. Never with a higher last stream than before (RFC 9113 §6.8), though some may have been refused since. */
  goaway(lastStreamId: number, code: number, debug = ''): void {
    this.#lastNamed = Math.min(this.#lastNamed, lastStreamId)
    this.write(encodeGoaway(this.#lastNamed, code, debug), false)
  }

  /**
   * Closes the connection once everything has been written, however long a peer that lives takes to read it: nobody else sends it
   * again. By force when the peer does not close its side then.
   */
  end(): void {
    if (this.#ending) return
    this.#ending = true
    if (!this.#busy) this.#finish()
  }

  /** As `end`, but by force also when the writing takes too long. */
  abort(): void {
    this.end()
    this.#linger()
  }

  #finish(): void {
    this.#socket.end()
    this.#linger()
  }

  #linger(): void {
    const socket = this.#socket
    if (this.#lingering || socket.destroyed) return
    this.#lingering = true
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }

  readonly #onWritten = (): void => {
    if (!this.#busy || this.#socket.writableLength > 0) return
    this.#busy = false
    this.#flush()
  }

  #flush(): void {
    const socket = this.#socket
    if (this.#queue.length > 0 && !socket.destroyed) {
      const frames = this.#queue
      this.#queue = []
      this.#queuedBytes = 0
      this.#busy = true
      socket.cork()
      for (let i = 0; i < frames.length - 1; i++) socket.write(frames[i]!)
      socket.write(frames[frames.length - 1]!, this.#onWritten)
      socket.uncork()
      if (socket.writableLength > 0) return
      this.#busy = false
    }
    if (this.#ending) this.#finish()
    else this.#onIdle()
  }
}
