// Writes log text to a descriptor without ever blocking the event loop or throwing: text is gathered per turn of
// the loop and written by the thread pool. A reader that is gone (EPIPE) or slow (EAGAIN) costs lines, never the
// program: beyond the limit lines are dropped and counted.
import fs from 'node:fs'

export interface Sink {
  write(text: string): void
  /** Writes what is left synchronously; for the end of the process. Gives up on a stuck reader after 200 ms. */
  flush(): void
  /** Lines that a slow or absent reader has cost so far. */
  readonly dropped: number
}

const limitCharacters = 8 << 20
const retryMs = 10
const flushBudgetMs = 200

class FileSink implements Sink {
  readonly #fd: number
  #pending: string[] = []
  #pendingCharacters = 0
  #inFlight: Buffer | undefined
  #scheduled = false
  #broken = false
  #dropped = 0
  #reported = 0

  constructor(fd: number) {
    this.#fd = fd
    process.on('exit', () => this.flush())
  }

  get dropped(): number {
    return this.#dropped
  }

  write(text: string): void {
    if (this.#broken || this.#pendingCharacters > limitCharacters) {
      this.#dropped++
      return
    }
    this.#pending.push(text)
    this.#pendingCharacters += text.length
    if (this.#scheduled || this.#inFlight) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#next()
    })
  }

  #take(): Buffer | undefined {
    if (this.#pending.length === 0) return undefined
    if (this.#dropped > this.#reported && !this.#broken) {
      this.#pending.push(`${this.#dropped - this.#reported} log lines were dropped because the reader is slow\n`)
      this.#reported = this.#dropped
    }
    const chunk = Buffer.from(this.#pending.join(''))
    this.#pending = []
    this.#pendingCharacters = 0
    return chunk
  }

  #next(): void {
    if (this.#inFlight) return
    this.#inFlight = this.#take()
    if (this.#inFlight) this.#writeInFlight()
  }

  #writeInFlight(): void {
    const chunk = this.#inFlight
    if (!chunk) return
    fs.write(this.#fd, chunk, 0, chunk.length, null, (error, written) => {
      if (this.#inFlight !== chunk) return
      if (error) return this.#failed(error)
      this.#inFlight = written < chunk.length ? chunk.subarray(written) : undefined
      if (this.#inFlight) this.#writeInFlight()
      else this.#next()
    })
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code === 'EAGAIN' || error.code === 'EINTR') {
      setTimeout(() => this.#writeInFlight(), retryMs)
      return
    }
    this.#broken = true
    this.#inFlight = undefined
    this.#pending = []
    this.#pendingCharacters = 0
  }

  flush(): void {
    const deadline = Date.now() + flushBudgetMs
    // A write that the pool has in hand is left to it unless this is the end; at the exit of the process the
    // pool no longer runs, so writing it here is what gets it out. A line may appear twice, never half.
    let chunk = this.#inFlight ?? this.#take()
    this.#inFlight = undefined
    while (chunk && !this.#broken) {
      try {
        const written = fs.writeSync(this.#fd, chunk)
        chunk = written < chunk.length ? chunk.subarray(written) : this.#take()
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code
        if (code !== 'EAGAIN' && code !== 'EINTR') return
        if (Date.now() > deadline) return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
      }
    }
  }
}

/** A sink on an open descriptor (1 = standard output). */
export function createSink(fd = 1): Sink {
  return new FileSink(fd)
}
