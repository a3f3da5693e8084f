// The primitives of one header block: bytes, integers, where strings are (RFC 7541 §5).
import { errorCodes } from '../constants.ts'
import { H2Error } from '../error.ts'

const empty = new Uint8Array(0)

export class BlockReader {
  #block: Uint8Array = empty
  #offset = 0
  /** Of the string that `string()` found. */
  start = 0
  end = 0

  open(block: Uint8Array): void {
    this.#block = block
    this.#offset = 0
  }

  /** Lets go of the block, of which nothing may be kept. */
  close(): void {
    this.#block = empty
  }

  get block(): Uint8Array {
    return this.#block
  }

  get atEnd(): boolean {
    return this.#offset >= this.#block.length
  }

  /** The next byte, which is not taken. */
  get next(): number {
    return this.#block[this.#offset]!
  }

  byte(): number {
    if (this.atEnd) throw truncated()
    return this.#block[this.#offset++]!
  }

  /** An integer with a prefix of `bits` bits (RFC 7541 §5.1); larger than 2^28 is refused. */
  integer(bits: number): number {
    const limit = (1 << bits) - 1
    let value = this.byte() & limit
    if (value < limit) return value
    for (let shift = 0; ; shift += 7) {
      // One more group of bits would not fit: shifted out of 32 bits it could be negative, and a length lead backwards.
      if (shift > 21) throw compressionError('an integer that is too large')
      const byte = this.byte()
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }

  /** Passes a string; `start` and `end` say where in `block` it is. Answers whether it is Huffman-coded. */
  string(): boolean {
    if (this.atEnd) throw truncated()
    const huffman = (this.next & 0x80) !== 0
    const length = this.integer(7)
    this.start = this.#offset
    this.end = this.start + length
    if (this.end > this.#block.length) throw truncated()
    this.#offset = this.end
    return huffman
  }
}

function truncated(): H2Error {
  return compressionError('a header block that ends in the middle of a field')
}

export function compressionError(message: string): H2Error {
  return new H2Error(errorCodes.compressionError, message)
}
