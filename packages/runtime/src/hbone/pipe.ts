// The fast path: one tunnel to one TCP socket, both ways, without a Node stream between them.
//
// Each direction ends by itself: END_STREAM becomes FIN and FIN becomes END_STREAM. A reset on either side resets the other, except
// that a peer's RST_STREAM with NO_ERROR or CANCEL reads as its end (ambient wire §1.8): the application gets what came before, and FIN.
import type net from 'node:net'
import type { MeshError } from '@wishbone/core/errors'
import { adoptSocket } from '../copy/adopt.ts'
import { sharedFrame, sharedRead } from '../copy/buffer.ts'
import { brokenBy, reportable } from '../copy/outcome.ts'
import { Outlet } from '../copy/outlet.ts'
import { resetSocket } from '../copy/reset.ts'
import type { Copy, CopyResult } from '../copy/types.ts'
import { H2Stream } from './stream.ts'
import type { Tunnel, TunnelSink } from './types.ts'

/**
 * Copies between a tunnel and a connected TCP socket until both directions have ended. Takes both over: the socket's handle moves into
 * a new one, and the one given emits nothing more. `sent` counts socket to tunnel.
 */
export function pipeSocket(tunnel: Tunnel, socket: net.Socket): Copy {
  if (!(tunnel instanceof H2Stream)) throw new TypeError('pipeSocket takes tunnels of this package')
  return new TunnelPipe(tunnel, socket)
}

const ordinaryResets: ReadonlySet<string> = new Set(['backend-reset', 'client-closed'])

class TunnelPipe implements Copy, TunnelSink {
  readonly done: Promise<CopyResult>
  readonly #stream: H2Stream
  readonly #socket: net.Socket
  readonly #outlet: Outlet
  #onDone: ((result: CopyResult) => void) | undefined
  #streamClosed = false
  #socketClosed = false
  #error: MeshError | undefined
  #socketError: Error | undefined

  constructor(stream: H2Stream, old: net.Socket) {
    this.#stream = stream
    this.done = new Promise((resolve) => {
      this.#onDone = resolve
    })
    const read = (length: number) => stream.writeFramed(sharedFrame, length)
    const { socket, early } = adoptSocket(old, { buffer: sharedRead, read })
    this.#socket = socket
    this.#outlet = new Outlet(socket, (bytes) => stream.consumed(bytes))
    socket.on('end', () => stream.end())
    socket.on('error', (cause) => {
      this.#socketError = cause
    })
    socket.on('close', () => this.#onSocketClosed())
    stream.attach(this)
    if (early.length === 0 || stream.write(early)) socket.resume()
    if (socket.destroyed) this.#onSocketClosed()
  }

  get sent(): number {
    return this.#stream.sent
  }

  get received(): number {
    return this.#stream.received
  }

  close(reason: MeshError): void {
    if (this.#streamClosed && this.#socketClosed) return
    this.#error ??= reason
    this.#stream.reset(reason)
    resetSocket(this.#socket)
  }

  data(chunk: Buffer): void {
    if (this.#socket.destroyed) this.#stream.consumed(chunk.length)
    else this.#outlet.write(chunk)
  }

  end(): void {
    this.#outlet.end()
  }

  pause(): void {
    this.#socket.pause()
  }

  drain(): void {
    if (!this.#socket.readableEnded) this.#socket.resume()
  }

  closed(error: MeshError | undefined): void {
    this.#streamClosed = true
    const socket = this.#socket
    if (socket !== undefined && !socket.destroyed) {
      if (error !== undefined) resetSocket(socket)
      // Nothing can be sent any more: what came is delivered, and then the socket is closed, whether or not the application goes on.
      else if (socket.writableFinished) socket.destroy()
      else socket.once('finish', () => socket.destroy())
    }
    // A peer's reset is an ordinary end; the loss of the whole session is not.
    if (error !== undefined && (error.retry !== 'no' || !ordinaryResets.has(error.code))) this.#error ??= error
    this.#settle()
  }

  #onSocketClosed(): void {
    if (this.#socketClosed) return
    this.#socketClosed = true
    const cause = this.#socketError
    if (cause !== undefined) this.#error ??= reportable(cause, 'downstream')
    if (!this.#streamClosed) this.#stream.reset(brokenBy(cause))
    this.#stream.abandon()
    this.#settle()
  }

  #settle(): void {
    if (!this.#streamClosed || !this.#socketClosed) return
    const { sent, received } = this
    this.#onDone?.(this.#error === undefined ? { sent, received } : { sent, received, error: this.#error })
    this.#onDone = undefined
  }
}
