// The Huffman code of HPACK (RFC 7541 §5.2, Appendix B). The code is canonical: lengths and symbol order give all of it.
import { compressionError } from './reader.ts'

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

/** The node of strings that hold the end-of-string symbol, which none may. */
const dead = 0x1ff

/** A binary tree: node n has its children at 2n and 2n+1; positive is a node, negative is ~symbol. */
const tree: Int16Array = buildTree()

/**
 * What four more bits do at each inner node of the tree: the next node in the low 9 bits, and above them 1 + the symbol that
 * they complete, or 0. No code is shorter than five bits, so there is at most one.
 */
const steps: Int32Array = buildSteps()

/** 1 for nodes at which a string may end: behind a symbol, or behind less than a byte of ones (RFC 7541 §5.2). */
const endings: Uint8Array = buildEndings()

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

function buildSteps(): Int32Array {
  const result = new Int32Array((dead + 1) * 16).fill(dead)
  for (let start = 0; start < endOfString; start++)
    for (let bits = 0; bits < 16; bits++) result[start * 16 + bits] = step(start, bits)
  return result
}

function step(start: number, bits: number): number {
  let node = start
  let symbol = 0
  for (let bit = 3; bit >= 0; bit--) {
    const next = tree[node * 2 + ((bits >>> bit) & 1)]!
    if (~next === endOfString) return dead
    if (next < 0) symbol = ~next + 1
    node = Math.max(next, 0)
  }
  return (symbol << 9) | node
}

function buildEndings(): Uint8Array {
  const result = new Uint8Array(dead + 1)
  for (let bits = 0, node = 0; bits < 8; bits++, node = tree[node * 2 + 1]!) result[node] = 1
  return result
}

/**
 * Decodes the Huffman-coded string in `bytes` from `start` to `end` into `out`, which has room for huffmanBound of its length.
 * Answers how many bytes it has. Throws H2Error on the end-of-string symbol and on wrong padding.
 */
export function readHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let used = 0
  let node = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    const high = steps[node * 16 + (byte >>> 4)]!
    if (high > dead) out[used++] = (high >>> 9) - 1
    const low = steps[(high & dead) * 16 + (byte & 15)]!
    if (low > dead) out[used++] = (low >>> 9) - 1
    node = low & dead
  }
  if (endings[node] === 1) return used
  if (node === dead) throw compressionError('a string with the end-of-string symbol inside')
  throw compressionError('a string that ends in wrong padding')
}

/** Decodes a Huffman-coded string into Latin-1 text. Throws H2Error on the end-of-string symbol and on wrong padding. */
export function decodeHuffman(bytes: Uint8Array): string {
  const out = new Uint8Array(huffmanBound(bytes.length))
  return latin1(out.subarray(0, readHuffman(bytes, 0, bytes.length, out)))
}

/** Bytes that a Huffman-coded string of `length` bytes can have: no code is shorter than five bits. */
export function huffmanBound(length: number): number {
  return Math.floor((length * 8) / 5)
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
