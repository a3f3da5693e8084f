// A tunnel as a Node stream, for what wants one: http servers, TLS inside the tunnel. Slower than pipeSocket.
import { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import { errorCodes } from '@wishbone/core/h2'
import { H2Stream } from './stream.ts'
import type { Tunnel, TunnelSink } from './types.ts'

/** A reader with so much in hand gets no small chunks besides: those are put together meanwhile, for each costs much more than its bytes. */
const enoughInHand = 4 << 10
const smallChunk = 1 << 10

/**
 * Looks enough like a net.Socket for `http.Server.emit('connection', …)`; the address fields may be set to those of the real client.
 * Half-open; the peer's window is given back as the reader takes bytes. `destroy()` before both ends resets the tunnel: with an
 * error as CONNECT_ERROR, without one as CANCEL.
 */
export class TunnelDuplex extends Duplex {
  remoteAddress: string
  remotePort: number
  remoteFamily: string
  localAddress: string | undefined
  localPort: number | undefined
  readonly tunnel: Tunnel
  readonly #stream: H2Stream
  #chunks: Buffer[] = []
  #wanted = false
  #ended = false
  #onDrain: (() => void) | undefined
  #idleMs = 0
  #idleTimer: NodeJS.Timeout | undefined

  constructor(tunnel: Tunnel) {
    super({ allowHalfOpen: true })
    if (!(tunnel instanceof H2Stream)) throw new TypeError('toDuplex takes tunnels of this package')
    this.tunnel = tunnel
    this.#stream = tunnel
    this.remoteAddress = tunnel.remoteAddress
    this.remotePort = tunnel.remotePort
    this.remoteFamily = tunnel.remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
    const sink: TunnelSink = {
      data: (chunk, borrowed) => this.#received(borrowed ? Buffer.from(chunk) : chunk),
      end: () => {
        this.#ended = true
        this.#deliver()
      },
      drain: () => this.#drained(),
      closed: (error) => this.#closed(error),
    }
    // Whoever has an interest listens as well; a reset tunnel that nobody listens to must not end the process.
    this.on('error', () => undefined)
    tunnel.attach(sink)
  }

  /** The peer sends no more, whatever is still to be read before that. */
  get peerHasEnded(): boolean {
    return this.#stream.remoteEnded
  }

  // What http servers call on sockets. A tunnel has no delay to switch off, and its session keeps itself alive.

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  address(): Record<string, unknown> {
    return { address: this.localAddress, port: this.localPort, family: this.remoteFamily }
  }

  /** As net.Socket.setTimeout: emits `timeout` after so long without a byte either way. */
  setTimeout(ms: number, callback?: () => void): this {
    this.#idleMs = ms
    if (callback !== undefined) {
      if (ms > 0) this.once('timeout', callback)
      else this.off('timeout', callback)
    }
    this.#active()
    return this
  }

  override _read(): void {
    this.#wanted = true
    this.#deliver()
  }

  /** Whatever takes something out of the stream's buffer comes this way. */
  override read(size?: number): Buffer | null {
    const chunk = super.read(size) as Buffer | null
    if (this.#chunks.length > 0) this.#deliver()
    return chunk
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#active()
    if (this.#stream.write(chunk) || this.#stream.closed) callback()
    else this.#onDrain = callback
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#stream.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idleTimer)
    this.#chunks = []
    if (!this.#stream.closed) {
      if (error === null) this.#stream.resetWith(errorCodes.cancel, undefined)
      else this.#stream.reset(MeshError.from(error, 'client-closed'))
    }
    this.#stream.abandon()
    this.#drained()
    callback(error)
  }

  #received(chunk: Buffer): void {
    this.#active()
    this.#chunks.push(chunk)
    this.#deliver()
  }

  #deliver(): void {
    while (this.#wanted && this.#chunks.length > 0) {
      if (this.#chunks[0]!.length < smallChunk && this.readableLength >= enoughInHand) return
      const chunk = this.#chunks.shift()!
      this.#wanted = this.push(chunk)
      this.#stream.consumed(chunk.length)
    }
    if (this.#ended && this.#chunks.length === 0 && !this.readableEnded) {
      this.#ended = false
      this.push(null)
    }
  }

  #drained(): void {
    const callback = this.#onDrain
    this.#onDrain = undefined
    callback?.()
  }

  #closed(error: MeshError | undefined): void {
    if (this.destroyed) return
    if (error !== undefined) this.destroy(error)
    else if (!this.writableFinished) {
      // The peer has cancelled: what it sent may still be read, but nothing can be written.
      this.once('end', () => this.destroy())
      this.#drained()
    }
  }

  #active(): void {
    clearTimeout(this.#idleTimer)
    if (this.#idleMs === 0 || this.destroyed) return
    this.#idleTimer = setTimeout(() => this.emit('timeout'), this.#idleMs)
    this.#idleTimer.unref()
  }
}

export function toDuplex(tunnel: Tunnel): TunnelDuplex {
  return new TunnelDuplex(tunnel)
}
