// Fields to header blocks: static indexes and literals that are never put in a table. No state, so no block depends on
// another, and nothing secret can be guessed from sizes. Send `dynamicTableOff` in front of a connection's first block:
// a peer that allows a smaller table than 4096 may insist on being told that ours is.
import type { HeaderField } from './table.ts'
import { staticTable } from './table.ts'

/** A table size update to 0: what the first block of a connection begins with. */
export const dynamicTableOff: Uint8Array = Uint8Array.of(0x20)

const exact = new Map<string, number>()
const byName = new Map<string, number>()
staticTable.forEach(([name, value], index) => {
  if (!byName.has(name)) byName.set(name, index + 1)
  if (value !== '') exact.set(`${name}\0${value}`, index + 1)
})

/** Values that no intermediary may put in a table either. */
const secret = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])

/**
 * Encodes fields (names lower case, text Latin-1). The answer is a view of `buffer` if the block fits into it, else a
 * new array. Throws TypeError when a name or value has a control character that HTTP forbids, or is not Latin-1.
 */
export function encodeHeaders(fields: Iterable<HeaderField>, buffer?: Uint8Array): Uint8Array {
  const list = [...fields]
  let bound = 0
  for (const [name, value] of list) bound += name.length + value.length + 16
  const out = buffer !== undefined && buffer.length >= bound ? buffer : new Uint8Array(bound)
  let offset = 0
  for (const field of list) offset = encodeField(out, offset, field)
  return out.subarray(0, offset)
}

function encodeField(out: Uint8Array, start: number, [name, value]: HeaderField): number {
  const index = exact.get(`${name}\0${value}`)
  if (index !== undefined) return encodeInteger(out, start, 0x80, 7, index)
  const nameIndex = byName.get(name) ?? 0
  let offset = encodeInteger(out, start, secret.has(name) ? 0x10 : 0, 4, nameIndex)
  if (nameIndex === 0) offset = encodeString(out, offset, name)
  return encodeString(out, offset, value)
}

function encodeString(out: Uint8Array, start: number, text: string): number {
  let offset = encodeInteger(out, start, 0, 7, text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xff || code === 0 || code === 10 || code === 13)
      throw new TypeError(`character ${code} may not be in a header`)
    out[offset++] = code
  }
  return offset
}

function encodeInteger(out: Uint8Array, start: number, pattern: number, bits: number, value: number): number {
  const limit = (1 << bits) - 1
  let offset = start
  if (value < limit) {
    out[offset++] = pattern | value
    return offset
  }
  out[offset++] = pattern | limit
  let rest = value - limit
  while (rest > 127) {
    out[offset++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[offset++] = rest
  return offset
}
