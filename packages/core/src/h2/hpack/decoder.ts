// Header blocks to fields (RFC 7541 §3, §6). One decoder per connection and direction; every block of the connection
// must go through it in order, also those of requests that are refused, or the tables of the two ends part ways.
import { errorCodes } from '../constants.ts'
import { H2Error } from '../error.ts'
import { decodeHuffman, latin1 } from './huffman.ts'
import { BlockReader, compressionError } from './reader.ts'
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
  readonly #table: DynamicTable<HeaderField>
  readonly #reader = new BlockReader()
  #broken = false

  constructor(options: HpackDecoderOptions = {}) {
    this.#maxTableSize = options.maxTableSize ?? 4096
    this.#maxHeaderListSize = options.maxHeaderListSize ?? 65_536
    this.#table = new DynamicTable(this.#maxTableSize, sizeOf)
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
    this.#reader.open(block)
    try {
      return this.#fields()
    } catch (cause) {
      if (!(cause instanceof H2Error && cause.scope === 'stream')) this.#broken = true
      throw cause
    } finally {
      this.#reader.close()
    }
  }

  #fields(): readonly HeaderField[] {
    const reader = this.#reader
    const fields: HeaderField[] = []
    let size = 0
    let started = false
    while (!reader.atEnd) {
      const first = reader.next
      if ((first & 0xe0) === 0x20) {
        if (started) throw compressionError('a table size update after the first field')
        this.#table.update(reader.integer(5), this.#maxTableSize)
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
    const reader = this.#reader
    if ((first & 0x80) !== 0) return this.#entry(reader.integer(7))
    const indexed = (first & 0x40) !== 0
    const nameIndex = reader.integer(indexed ? 6 : 4)
    const name = nameIndex === 0 ? this.#string() : this.#entry(nameIndex)[0]
    const field: HeaderField = [name, this.#string()]
    if (indexed) this.#table.add(field)
    return field
  }

  #entry(index: number): HeaderField {
    return this.#table.entry(index, staticTable)
  }

  #string(): string {
    const reader = this.#reader
    const huffman = reader.string()
    const bytes = reader.block.subarray(reader.start, reader.end)
    return huffman ? decodeHuffman(bytes) : latin1(bytes)
  }
}
