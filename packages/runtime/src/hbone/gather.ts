// Puts small pieces that nobody takes for the moment together: each by itself costs a hundred times its byte, and a peer may send a
// window of them.

const room = 16 << 10

export class Gather {
  #buffer: Buffer | undefined
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Whether another piece can be added before `take`. */
  hasRoom(bytes: number): boolean {
    return this.#length + bytes <= room
  }

  add(piece: Uint8Array): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(room)
    this.#buffer.set(piece, this.#length)
    this.#length += piece.length
  }

  /** What has come together, in memory of its own; undefined if nothing has. */
  take(): Buffer | undefined {
    if (this.#length === 0) return undefined
    const taken = Buffer.from(this.#buffer!.subarray(0, this.#length))
    this.#length = 0
    return taken
  }
}
