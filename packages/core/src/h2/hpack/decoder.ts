// Header blocks to fields (RFC 7541 §3, §6). One decoder per connection and direction; every block of the connection
// must go through it in order, also those of requests that are refused, or the tables of the two ends part ways.
import { errorCodes } from '../constants.ts'
import { H2Error } from '../error.ts'
import { decodeHuffman, latin1 } from './huffman.ts'
import { DynamicTable, type HeaderField, sizeOf, staticTable } from './table.ts'

export interface HpackDecoderOptions {
  /** The SETTINGS_HEADER_TABLE_SIZE that we have sent; default 4096, and less would refuse what a peer sends before it knows. */
  readonly maxTableSize?: number
  /** Bytes of all names and values plus 32 for each field (SETTINGS_MAX_HEADER_LIST_SIZE); default 65536. */
  readonly maxHeaderListSize?: number
}

export class HpackDecoder {
  readonly #maxTableSize: number
  readonly #maxHeaderListSize: number
  readonly #table: DynamicTable
  #block: Uint8Array = new Uint8Array(0)
  #offset = 0
  #broken = false

  constructor(options: HpackDecoderOptions = {}) {
    this.#maxTableSize = options.maxTableSize ?? 4096
    this.#maxHeaderListSize = options.maxHeaderListSize ?? 65_536
    this.#table = new DynamicTable(this.#maxTableSize)
  }

  /** Bytes that the dynamic table holds, as RFC 7541 counts them. */
  get tableSize(): number {
    return this.#table.size
  }

  /**
   * The fields of one complete header block. Throws H2Error: with scope connection when the block is malformed, after
   * which the connection is lost; with scope stream when the list is larger than allowed, after which it goes on.
   */
  decode(block: Uint8Array): readonly HeaderField[] {
    if (this.#broken) throw compressionError('the connection has had a malformed header block before')
    this.#block = block
    this.#offset = 0
    try {
      return this.#fields()
    } catch (cause) {
      if (!(cause instanceof H2Error && cause.scope === 'stream')) this.#broken = true
      throw cause
    } finally {
      this.#block = new Uint8Array(0)
    }
  }

  #fields(): readonly HeaderField[] {
    const fields: HeaderField[] = []
    let size = 0
    let started = false
    while (this.#offset < this.#block.length) {
      const first = this.#block[this.#offset]!
      if ((first & 0xe0) === 0x20) {
        if (started) throw compressionError('a table size update after the first field')
        this.#resize(this.#integer(5))
        continue
      }
      started = true
      const field = this.#field(first)
      size += sizeOf(field)
      if (size <= this.#maxHeaderListSize) fields.push(field)
    }
    if (size > this.#maxHeaderListSize)
      throw new H2Error(errorCodes.enhanceYourCalm, `a header list of ${size} bytes is larger than allowed`, 'stream')
    return fields
  }

  #field(first: number): HeaderField {
    if ((first & 0x80) !== 0) return this.#entry(this.#integer(7))
    const indexed = (first & 0x40) !== 0
    const nameIndex = this.#integer(indexed ? 6 : 4)
    const name = nameIndex === 0 ? this.#string() : this.#entry(nameIndex)[0]
    const field: HeaderField = [name, this.#string()]
    if (indexed) this.#table.add(field)
    return field
  }

  #entry(index: number): HeaderField {
    if (index === 0) throw compressionError('an index of 0')
    const entry = index <= staticTable.length ? staticTable[index - 1] : this.#table.get(index - staticTable.length - 1)
    if (entry === undefined) throw compressionError(`an index of ${index}, which no entry has`)
    return entry
  }

  #resize(size: number): void {
    if (size > this.#maxTableSize) throw compressionError(`a table size of ${size} is larger than allowed`)
    this.#table.resize(size)
  }

  /** An integer with a prefix of `bits` bits (RFC 7541 §5.1); larger than 2^28 is refused. */
  #integer(bits: number): number {
    const limit = (1 << bits) - 1
    let value = this.#byte() & limit
    if (value < limit) return value
    for (let shift = 0; ; shift += 7) {
      // One more group of bits would not fit: shifted out of 32 bits it could be negative, and a length lead backwards.
      if (shift > 21) throw compressionError('an integer that is too large')
      const byte = this.#byte()
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }

  #string(): string {
    if (this.#offset >= this.#block.length) throw truncated()
    const huffman = (this.#block[this.#offset]! & 0x80) !== 0
    const length = this.#integer(7)
    const end = this.#offset + length
    if (end > this.#block.length) throw truncated()
    const bytes = this.#block.subarray(this.#offset, end)
    this.#offset = end
    return huffman ? decodeHuffman(bytes) : latin1(bytes)
  }

  #byte(): number {
    if (this.#offset >= this.#block.length) throw truncated()
    return this.#block[this.#offset++]!
  }
}

function truncated(): H2Error {
  return compressionError('a header block that ends in the middle of a field')
}

function compressionError(message: string): H2Error {
  return new H2Error(errorCodes.compressionError, message)
}
