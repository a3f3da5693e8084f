// TCP to TCP copy for connections that are not tunnelled. No framing, no policy.
import type net from 'node:net'
import type { MeshError } from '@wishbone/core/errors'
import { adoptSocket } from './adopt.ts'
import { readSize, sharedRead } from './buffer.ts'
import { reportable } from './outcome.ts'
import { resetSocket } from './reset.ts'
import type { Copy, CopyResult } from './types.ts'

/**
 * Copies a to b and b to a until both directions have ended. Takes both connected sockets over: those given emit nothing more.
 * FIN is passed on each direction by itself, a reset resets the other side (ambient wire §1.8). `sent` counts a to b.
 */
export function copySockets(a: net.Socket, b: net.Socket): Copy {
  return new SocketCopy(a, b)
}

/** Reads of this size say that a buffer of its own pays off: the kernel then takes the bytes from it without another copy. */
const largeRead = 64 << 10

/** Private buffers that no direction uses now. A few are kept: the flows that need them come and go. */
const spare: Buffer[] = []
const mostSpare = 16

/** Directions that have a buffer of their own at a time; more than that are read into the shared one. */
const mostPrivate = 64
let privateCount = 0

/** One direction: reads from one socket and writes to the other; reading stops while the kernel has not taken what was read. */
class Direction {
  bytes = 0
  source: net.Socket | undefined
  target: net.Socket | undefined
  /**
   * Where the next read goes. node asks for it as soon as `read` returns, also when that stops reading, and reads into it whenever
   * reading goes on: it must change inside `read` only.
   */
  #next: Buffer = sharedRead
  #paused = false

  readonly buffer = (): Buffer => this.#next

  readonly read = (length: number): boolean => {
    this.bytes += length
    const target = this.target!
    if (target.destroyed) return true
    const isShared = this.#next === sharedRead
    const chunk = this.#next.subarray(0, length)
    // The shared buffer is somebody else's with the next read, and the kernel may take its time.
    target.write(isShared ? Buffer.from(chunk) : chunk, this.#onWritten)
    this.#paused = target.writableLength > 0
    if (isShared) {
      if (length >= largeRead) this.#takePrivate()
    } else if (length < largeRead && !this.#paused) this.#giveBack()
    return !this.#paused
  }

  /** Both sockets are closed: nothing is read any more, and nothing written. */
  finish(): void {
    if (this.#next !== sharedRead) this.#giveBack()
  }

  readonly #onWritten = (): void => {
    if (!this.#paused || this.target!.writableLength > 0) return
    this.#paused = false
    this.source!.resume()
  }

  #takePrivate(): void {
    if (privateCount === mostPrivate) return
    privateCount++
    this.#next = spare.pop() ?? Buffer.allocUnsafeSlow(readSize)
  }

  #giveBack(): void {
    privateCount--
    if (spare.length < mostSpare) spare.push(this.#next)
    this.#next = sharedRead
  }
}

class SocketCopy implements Copy {
  readonly done: Promise<CopyResult>
  readonly #forward = new Direction()
  readonly #backward = new Direction()
  readonly #a: net.Socket
  readonly #b: net.Socket
  #onDone: ((result: CopyResult) => void) | undefined
  #open = 2
  #error: MeshError | undefined

  constructor(oldA: net.Socket, oldB: net.Socket) {
    this.done = new Promise((resolve) => {
      this.#onDone = resolve
    })
    const a = adoptSocket(oldA, this.#forward)
    const b = adoptSocket(oldB, this.#backward)
    this.#a = this.#forward.source = this.#backward.target = a.socket
    this.#b = this.#forward.target = this.#backward.source = b.socket
    this.#watch(a.socket, b.socket, 'downstream')
    this.#watch(b.socket, a.socket, 'upstream')
    this.#start(this.#forward, a.early)
    this.#start(this.#backward, b.early)
  }

  get sent(): number {
    return this.#forward.bytes
  }

  get received(): number {
    return this.#backward.bytes
  }

  close(reason: MeshError): void {
    if (this.#open === 0) return
    this.#error ??= reason
    for (const socket of [this.#a, this.#b]) resetSocket(socket)
  }

  #start(direction: Direction, early: Buffer): void {
    if (early.length > 0) {
      direction.bytes += early.length
      direction.target!.write(early)
    }
    direction.source!.resume()
  }

  #watch(socket: net.Socket, other: net.Socket, at: 'downstream' | 'upstream'): void {
    let failed = false
    socket.on('end', () => other.end())
    socket.on('error', (cause) => {
      failed = true
      this.#error ??= reportable(cause, at)
    })
    const closed = () => {
      // Closed before both ends were passed on: the other side must not take what it got for the whole.
      if (failed || !socket.readableEnded) resetSocket(other)
      this.#settle()
    }
    if (socket.destroyed) queueMicrotask(closed)
    else socket.on('close', closed)
  }

  #settle(): void {
    if (--this.#open > 0) return
    this.#forward.finish()
    this.#backward.finish()
    const { sent, received } = this
    this.#onDone?.(this.#error === undefined ? { sent, received } : { sent, received, error: this.#error })
    this.#onDone = undefined
  }
}
