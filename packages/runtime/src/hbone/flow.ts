// The receiving half of flow control, of a stream and of a connection alike (RFC 9113 §5.2).

export class ReceiveWindow {
  readonly #size: number
  #left: number
  #credit = 0

  constructor(size: number) {
    this.#size = size
    this.#left = size
  }

  /** Takes what has arrived. False when the peer has sent more than it may. */
  spend(bytes: number): boolean {
    this.#left -= bytes
    return this.#left >= 0
  }

  /** Adds what has been consumed. Returns the increment to announce: nothing until a quarter of the window has come together. */
  consume(bytes: number): number {
    this.#credit += bytes
    if (this.#credit < this.#size / 4) return 0
    const increment = this.#credit
    this.#left += increment
    this.#credit = 0
    return increment
  }
}
