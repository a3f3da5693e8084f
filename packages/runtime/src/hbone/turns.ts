// Whose turn it is to send when a connection is busy. Sources are read into one shared buffer, and only a read that meets an idle
// connection goes out without a copy; so while the connection is busy the streams with much to send are paused, and then let go one
// after the other (all at once would race, and the event loop would let the same one win each time). Streams that have nothing to
// send are left alone.
import type { H2Stream } from './stream.ts'

export class Turns {
  #waiting = new Set<H2Stream>()
  /** Let go, and perhaps about to send. When one of them makes the connection busy, the others wait again, ahead of it. */
  readonly #free = new Set<H2Stream>()
  readonly #busy: () => boolean
  #scheduled = false

  /** `busy` tells whether the connection has no room for another read: bytes wait for the kernel, or its window is used up. */
  constructor(busy: () => boolean) {
    this.#busy = busy
  }

  /** The connection is busy, or its window is used up, and the stream has more to send. */
  wait(stream: H2Stream): void {
    this.#free.delete(stream)
    for (const other of this.#free) if (other.hold()) this.#waiting.add(other)
    this.#free.clear()
    this.#waiting.add(stream)
  }

  /** There may be room for the next one. If that has nothing to send, the one after it follows in the next round of the loop. */
  next(): void {
    if (this.#busy()) return
    const [stream] = this.#waiting
    if (stream === undefined) return
    this.#waiting.delete(stream)
    this.#free.add(stream)
    stream.resume()
    if (this.#waiting.size === 0 || this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#again)
  }

  readonly #again = (): void => {
    this.#scheduled = false
    this.next()
  }

  forget(stream: H2Stream): void {
    this.#waiting.delete(stream)
    this.#free.delete(stream)
  }
}
