// The body of a request on its way to the backend, to mirrors, and to the backend again when a try failed. It is read
// once, at the pace of the current reader, in constant memory: only up to `limit` bytes are kept for another try.
import { Readable } from 'node:stream'

/** How far a mirror may lag behind before it is given up. */
const mirrorLagLimit = 1 << 20

class Reader extends Readable {
  readonly #onRead: () => void
  readonly #onGone: () => void

  constructor(onRead: () => void, onGone: () => void) {
    super({ highWaterMark: 65_536 })
    this.#onRead = onRead
    this.#onGone = onGone
    // Whoever reads it listens too; until then, and after it gave up, a client that goes away must not end the process.
    this.on('error', () => {})
  }

  override _read(): void {
    this.#onRead()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onGone()
    callback(error)
  }
}

export class RequestBody {
  readonly #source: Readable
  readonly #limit: number
  readonly #mirrors = new Set<Reader>()
  #kept: Buffer[] = []
  #keptBytes = 0
  #overflowed = false
  #current: Reader | undefined
  #started = false
  #ended = false
  #failed: Error | undefined
  #bytes = 0

  /** `limit`: bytes to keep for another try; 0 keeps none. */
  constructor(source: Readable, limit: number) {
    this.#source = source
    this.#limit = limit
  }

  /** Whether `open` can begin at the first byte once more. */
  get replayable(): boolean {
    return !this.#overflowed && this.#failed === undefined
  }

  /** Bytes read from the client so far. */
  get bytes(): number {
    return this.#bytes
  }

  get complete(): boolean {
    return this.#ended
  }

  /** The body from its first byte, for one try, which the client is read for once it is read. An earlier try's reader gets nothing more. */
  open(): Readable {
    if (!this.replayable) throw new Error('the body has been read further than it is kept')
    const reader: Reader = new Reader(
      () => this.#resume(),
      () => {
        if (this.#current !== reader) return
        this.#current = undefined
        // What comes now may be more than is kept, and belongs to the next try.
        if (this.#started && !this.#ended && !this.#overflowed) this.#source.pause()
      },
    )
    this.#current = reader
    for (const chunk of this.#kept) reader.push(chunk)
    if (this.#ended) reader.push(null)
    return reader
  }

  /** A copy that does not slow the body down. To be taken before the first `open`. */
  mirror(): Readable {
    const reader: Reader = new Reader(
      () => {},
      () => this.#mirrors.delete(reader),
    )
    this.#mirrors.add(reader)
    return reader
  }

  /** Reads on without a reader, up to `limit` bytes; answers whether the body ended within them. */
  discard(limit: number): Promise<boolean> {
    if (this.#ended || this.#failed !== undefined) return Promise.resolve(this.#ended)
    this.#current = undefined
    this.#overflowed = true
    this.#kept = []
    const { promise, resolve } = Promise.withResolvers<boolean>()
    let rest = limit
    this.#source.on('data', (chunk: Buffer) => {
      if ((rest -= chunk.length) < 0) resolve(false)
    })
    this.#source.once('end', () => resolve(true))
    this.#source.once('close', () => resolve(this.#ended))
    this.#start()
    this.#source.resume()
    return promise
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    this.#source.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#source.once('end', () => this.#onEnd())
    this.#source.once('error', (error) => this.#onFailure(error))
    this.#source.once('close', () => {
      if (!this.#ended) this.#onFailure(new Error('the client went away in the middle of the body'))
    })
  }

  /** The first time too: who gets no connection takes nothing of the body, and the next endpoint gets it whole. */
  #resume(): void {
    this.#start()
    if (!this.#ended) this.#source.resume()
  }

  #onData(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#keep(chunk)
    for (const mirror of this.#mirrors) {
      mirror.push(chunk)
      if (mirror.readableLength > mirrorLagLimit) mirror.destroy(new Error('the mirror is too slow for the body'))
    }
    if (this.#current !== undefined) {
      if (!this.#current.push(chunk)) this.#source.pause()
    } else if (!this.#overflowed) this.#source.pause()
  }

  #keep(chunk: Buffer): void {
    if (this.#overflowed) return
    this.#keptBytes += chunk.length
    if (this.#keptBytes <= this.#limit) this.#kept.push(chunk)
    else {
      this.#overflowed = true
      this.#kept = []
    }
  }

  #onEnd(): void {
    this.#ended = true
    this.#current?.push(null)
    for (const mirror of this.#mirrors) mirror.push(null)
  }

  #onFailure(error: Error): void {
    if (this.#failed !== undefined || this.#ended) return
    this.#failed = error
    this.#current?.destroy(error)
    for (const mirror of this.#mirrors) mirror.destroy(error)
  }
}
