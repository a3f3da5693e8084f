// Whether the fields of header blocks have only characters that HTTP allows, without making the fields. For servers whose own
// HTTP/2 does not tell: node's leaves such fields out and goes on. What was found once a table entry remembers.

import { huffmanBound, readHuffman } from './huffman.ts'
import { BlockReader, compressionError } from './reader.ts'
import { DynamicTable, entryOverhead, staticTable } from './table.ts'

/** Which part of a field has a character, or an end, that it may not have. */
export type FieldFault = 'name' | 'value'

const inName = 1
const inValue = 2
const inHost = 4
const atEnds = 8
type Kind = typeof inName | typeof inValue | typeof inHost

const colon = 0x3a
const host = [...'host'].map((character) => character.charCodeAt(0))

interface Entry {
  readonly nameLength: number
  readonly nameFault: boolean
  /** What its values consist of. */
  readonly kind: Kind
  readonly fault: FieldFault | undefined
  readonly size: number
}

const fixed: readonly Entry[] = staticTable.map(([name, value]) => ({
  nameLength: name.length,
  nameFault: false,
  kind: name === 'host' ? inHost : inValue,
  fault: undefined,
  size: name.length + value.length + entryOverhead,
}))

/** Where strings are decoded, one after the other. */
const scratch = new Uint8Array(4096)

/** What each byte may be part of (RFC 9113 §8.2.1, RFC 9110 §5.6.2, RFC 3986 §3.2). Whether upper case may is not looked at. */
const classes = Uint8Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code)
  const visible = (code > 0x20 && code < 0x7f) || code >= 0x80
  return (
    (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character) ? inName : 0) |
    (visible || character === ' ' || character === '\t' ? inValue : 0) |
    (/[-._~!$&'()*+,;=%@:[\]0-9A-Za-z]/.test(character) ? inHost : 0) |
    (visible ? atEnds : 0)
  )
})

export class FieldCheck {
  readonly #maxTableSize: number
  readonly #table: DynamicTable<Entry>
  readonly #reader = new BlockReader()
  /** Of the string that was read last. */
  #length = 0
  /** Whether the name that was read last is `host`. */
  #isHost = false

  /** `maxTableSize`: the SETTINGS_HEADER_TABLE_SIZE that the server has sent. */
  constructor(maxTableSize = 4096) {
    this.#maxTableSize = maxTableSize
    this.#table = new DynamicTable(maxTableSize, (entry) => entry.size)
  }

  /**
   * What is wrong with the first field at fault of a complete header block. Every block of the connection has to come by, in
   * order. Names that begin with a colon are not judged. Throws H2Error when the block is malformed; the connection is lost then.
   */
  check(block: Uint8Array): FieldFault | undefined {
    const reader = this.#reader
    reader.open(block)
    try {
      let fault: FieldFault | undefined
      let started = false
      while (!reader.atEnd) {
        const first = reader.next
        if ((first & 0xe0) === 0x20) {
          if (started) throw compressionError('a table size update after the first field')
          this.#table.update(reader.integer(5), this.#maxTableSize)
          continue
        }
        started = true
        const found = this.#field(first)
        fault ??= found
      }
      return fault
    } finally {
      reader.close()
    }
  }

  #field(first: number): FieldFault | undefined {
    const reader = this.#reader
    if ((first & 0x80) !== 0) return this.#table.entry(reader.integer(7), fixed).fault
    const indexed = (first & 0x40) !== 0
    const nameIndex = reader.integer(indexed ? 6 : 4)
    let nameFault: boolean
    let nameLength: number
    let kind: Kind
    if (nameIndex === 0) {
      nameFault = !this.#isText(inName)
      nameLength = this.#length
      kind = this.#isHost ? inHost : inValue
    } else ({ nameFault, nameLength, kind } = this.#table.entry(nameIndex, fixed))
    const valueFault = !this.#isText(kind)
    const fault = nameFault ? 'name' : valueFault ? 'value' : undefined
    if (indexed)
      this.#table.add({ nameLength, nameFault, kind, fault, size: nameLength + this.#length + entryOverhead })
    return fault
  }

  /** Whether the string that follows may be a name, or a value. Notes its length and, of a name, whether it is `host`. */
  #isText(kind: Kind): boolean {
    const reader = this.#reader
    let bytes = reader.block
    let start = 0
    let end: number
    if (reader.string()) {
      const bound = huffmanBound(reader.end - reader.start)
      const out = bound <= scratch.length ? scratch : new Uint8Array(bound)
      end = readHuffman(bytes, reader.start, reader.end, out)
      bytes = out
    } else {
      start = reader.start
      end = reader.end
    }
    this.#length = end - start
    if (kind === inName)
      this.#isHost = end - start === host.length && host.every((code, i) => bytes[start + i] === code)
    if (start === end) return kind !== inName
    if (kind === inName && bytes[start] === colon) return true
    for (let i = start; i < end; i++) if ((classes[bytes[i]!]! & kind) === 0) return false
    return kind === inName || (classes[bytes[start]!]! & classes[bytes[end - 1]!]! & atEnds) !== 0
  }
}
