// The memory that sessions read into. Busy sessions read into slabs, from which chunks go to the sockets without a copy; a slab is
// used again when every byte read into it has been consumed. Quiet sessions, of which there are many, share one buffer, and the
// little that they read is copied out of it.

import type { TlsReader } from '../tls/read.ts'

const slabSize = 256 << 10
/** One TLS record. */
const readSize = 16 << 10
/** Reads of this size make a session busy. */
const busyRead = 8 << 10
const mostSpare = 16
/**
 * Full slabs of a session of which something is held: as much as the window of the connection. With more of them, what is read is
 * copied: a byte for a stream that stands still, now and then beside a busy one, would hold a slab each.
 */
const mostHeld = 64

export class Slab {
  readonly buffer = Buffer.allocUnsafeSlow(slabSize)
  /** Bytes handed out and not yet consumed. */
  held = 0
  /** A session reads into it. */
  filling = true
  /** Set once it is full: called when all of it has been consumed. */
  onFree: (() => void) | undefined

  release(bytes: number): void {
    this.held -= bytes
    if (this.held > 0 || this.filling) return
    this.onFree?.()
    this.onFree = undefined
    if (spare.length < mostSpare) spare.push(this)
  }
}

const spare: Slab[] = []
const shared = Buffer.allocUnsafeSlow(readSize)

export class ReadMemory {
  #slab: Slab | undefined
  #offset = 0
  #region = shared
  #reading = false
  #closed = false
  /** Slabs that are full, and not consumed. */
  #heldSlabs = 0

  /** The slab that the last read went to; undefined if it has to be copied. */
  get slab(): Slab | undefined {
    return this.#slab
  }

  /** What a connection reads with; `receive` gets every read, to be used up or held in the slab before it returns. */
  reader(receive: (chunk: Buffer) => void): TlsReader {
    return {
      buffer: () => this.#next(),
      filled: (length) => {
        this.#offset += length
        this.#reading = true
        receive(this.#region.subarray(0, length))
        this.#reading = false
        this.#adapt(length)
      },
      chunk: receive,
    }
  }

  /** A piece of what is being read as it may be kept: pieces of the buffer that all quiet sessions share are copied out of it. */
  keep(piece: Buffer): Buffer {
    return this.#reading && this.#slab === undefined ? Buffer.from(piece) : piece
  }

  /**
   * What is read from now on is thrown away, but it is read: once more where node was told to, so that the slab is nobody else's any
   * more, and then over nothing that a stream which has ended in order may still hand on.
   */
  close(): void {
    this.#closed = true
  }

  #next(): Buffer {
    const slab = this.#slab
    if (this.#closed) this.#region = shared
    if (slab === undefined || this.#closed) return this.#region
    if (slab.held === 0) this.#offset = 0
    else if (slabSize - this.#offset < readSize) {
      this.#release()
      this.#take()
      if (this.#slab === undefined) return this.#region
    }
    this.#region = this.#slab!.buffer.subarray(this.#offset, this.#offset + readSize)
    return this.#region
  }

  /** Decides, by the size of the last read, where the next one goes. */
  #adapt(length: number): void {
    if (this.#closed) return
    if (this.#slab === undefined) {
      if (length >= busyRead) this.#take()
    } else if (length < busyRead && this.#slab.held === 0) this.#release()
  }

  #take(): void {
    if (this.#heldSlabs === mostHeld) return
    this.#slab = spare.pop() ?? new Slab()
    this.#slab.filling = true
    this.#offset = 0
  }

  #release(): void {
    const slab = this.#slab!
    this.#slab = undefined
    this.#region = shared
    slab.filling = false
    if (slab.held > 0) {
      this.#heldSlabs++
      slab.onFree = this.#onFree
    }
    slab.release(0)
  }

  readonly #onFree = (): void => {
    this.#heldSlabs--
  }
}

/** What one stream holds in slabs, oldest first. */
export class Holdings {
  #parts: { readonly slab: Slab | undefined; bytes: number }[] = []

  add(slab: Slab | undefined, bytes: number): void {
    if (slab !== undefined) slab.held += bytes
    const last = this.#parts.at(-1)
    if (last !== undefined && last.slab === slab) last.bytes += bytes
    else this.#parts.push({ slab, bytes })
  }

  release(bytes: number): void {
    let left = bytes
    while (left > 0 && this.#parts.length > 0) {
      const first = this.#parts[0]!
      const taken = Math.min(left, first.bytes)
      first.slab?.release(taken)
      first.bytes -= taken
      left -= taken
      if (first.bytes === 0) this.#parts.shift()
    }
  }
}
