// The Huffman code of HPACK (RFC 7541 §5.2, Appendix B). The code is canonical: lengths and symbol order give all of it.
import { errorCodes } from '../constants.ts'
import { H2Error } from '../error.ts'

/** Bits of the code of each byte; the 257th is the end of string. */
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
]
const endOfString = 256

/** Code of each symbol, as an unsigned number of its length. */
export const huffmanCodes: readonly { readonly code: number; readonly length: number }[] = buildCodes()

function buildCodes(): { code: number; length: number }[] {
  const codes = lengths.map((length) => ({ code: 0, length }))
  let code = 0
  for (let length = 1; length <= 30; length++) {
    for (let symbol = 0; symbol <= endOfString; symbol++) if (lengths[symbol] === length) codes[symbol]!.code = code++
    code *= 2
  }
  return codes
}

/** A binary tree: node n has its children at 2n and 2n+1; positive is a node, negative is ~symbol. */
const tree: Int16Array = buildTree()

function buildTree(): Int16Array {
  const nodes = new Int16Array(2 * endOfString + 2)
  let count = 1
  huffmanCodes.forEach(({ code, length }, symbol) => {
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const slot = node * 2 + ((code >>> bit) & 1)
      if (nodes[slot] === 0) nodes[slot] = count++
      node = nodes[slot]!
    }
    nodes[node * 2 + (code & 1)] = ~symbol
  })
  return nodes
}

/** Decodes a Huffman-coded string into Latin-1 text. Throws H2Error on the end-of-string symbol and on wrong padding. */
export function decodeHuffman(bytes: Uint8Array): string {
  // No code is shorter than five bits.
  const out = new Uint8Array(Math.floor((bytes.length * 8) / 5))
  let used = 0
  let node = 0
  let depth = 0
  let ones = true
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    for (let bit = 7; bit >= 0; bit--) {
      const one = (byte >>> bit) & 1
      const next = tree[node * 2 + one]!
      depth++
      if (one === 0) ones = false
      if (next >= 0) node = next
      else {
        if (~next === endOfString) throw compressionError('a string with the end-of-string symbol inside')
        out[used++] = ~next
        node = 0
        depth = 0
        ones = true
      }
    }
  }
  // What is left must be the beginning of the end of string, all ones, and shorter than a byte.
  if (depth > 7 || !ones) throw compressionError('a string that ends in wrong padding')
  return latin1(out.subarray(0, used))
}

/** Encodes Latin-1 text; for tests and for long values. */
export function encodeHuffman(text: string): Uint8Array {
  const out: number[] = []
  let pending = 0
  let bits = 0
  const put = (code: number, length: number) => {
    for (let bit = length - 1; bit >= 0; bit--) {
      pending = (pending << 1) | ((code >>> bit) & 1)
      if (++bits === 8) {
        out.push(pending)
        pending = 0
        bits = 0
      }
    }
  }
  for (let i = 0; i < text.length; i++) {
    const { code, length } = huffmanCodes[text.charCodeAt(i) & 0xff]!
    put(code, length)
  }
  if (bits > 0) put(0xff, 8 - bits)
  return Uint8Array.from(out)
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function compressionError(message: string): H2Error {
  return new H2Error(errorCodes.compressionError, message)
}
