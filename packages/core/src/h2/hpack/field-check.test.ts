import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { H2Error } from '../error.ts'
import { HpackDecoder } from './decoder.ts'
import { FieldCheck } from './field-check.ts'
import { encodeHuffman } from './huffman.ts'

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
const join = (...parts: readonly (Uint8Array | readonly number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => [...part]))

function string(text: string, huffman: boolean): Uint8Array {
  const bytes = huffman ? encodeHuffman(text) : ascii(text)
  const flag = huffman ? 0x80 : 0
  if (bytes.length < 127) return join([flag | bytes.length], bytes)
  const rest = bytes.length - 127
  return join([flag | 127, (rest & 127) | 128, rest >> 7], bytes)
}

/** A field with a new name: 0x40 puts it in the table, 0 and 0x10 do not. */
const literal = (name: string, value: string, huffman = false, how = 0) =>
  join([how], string(name, huffman), string(value, huffman))

describe.each([false, true])('Huffman-coded: %s', (huffman) => {
  test.each([
    ['x-a', ''],
    ['x-a', 'b'],
    ['x-a', 'b c\td'],
    ['x-a', '\x80\xff'],
    ["!#$%&'*+-.^_`|~09az", 'x'],
    // Whoever speaks HTTP/2 refuses these by itself.
    ['X-A', 'b'],
    [':path', '/'],
    [':', 'a'],
    ['host', 'a.b:80'],
    ['host', '[::1]'],
    ['host', ''],
    ['Host', 'a b'],
  ])('%j: %j is right', (name, value) => {
    expect(new FieldCheck().check(literal(name, value, huffman))).toBeUndefined()
  })

  test.each(['a\rb', 'a\nb', 'a\0b', 'a\x01b', 'a\x7fb', ' a', 'a ', '\ta', 'a\t', ' ', '\r', `${'a'.repeat(9000)}\n`])(
    'the value %j is not',
    (value) => {
      expect(new FieldCheck().check(literal('x-a', value, huffman))).toBe('value')
      expect(new FieldCheck().check(literal(':path', value, huffman))).toBe('value')
    },
  )

  test.each(['a b', 'a/b', 'a"b', 'a\\b', 'a?b', 'a#b', '<a>', '\x80'])('the host %j is not', (value) => {
    const named = join([0x40 | 38], string(value, huffman))
    for (const field of [literal('host', value, huffman, 0x40), named]) {
      const check = new FieldCheck()
      expect(check.check(field)).toBe('value')
      expect(check.check(join([0x40 | 62], string('a', huffman)))).toBeUndefined()
      expect(check.check(join([0x40 | 62], string(value, huffman)))).toBe('value')
    }
  })

  test.each(['', ' x', 'x ', 'x y', 'x:', 'x\r\ny', 'x\0', 'x\xe4', '(x)', 'x"', 'x/y', 'x@', 'x{', 'x\x7f'])(
    'the name %j is not',
    (name) => {
      expect(new FieldCheck().check(literal(name, 'a', huffman))).toBe('name')
    },
  )
})

test('a table entry remembers, for itself and for its name', () => {
  const check = new FieldCheck()
  expect(check.check(join(literal('x-a', 'a\nb', false, 0x40), [0x82]))).toBe('value')
  expect(check.check(Uint8Array.of(0x82))).toBeUndefined()
  expect(check.check(Uint8Array.of(0x80 | 62))).toBe('value')
  // Its name is right, with another value.
  expect(check.check(Uint8Array.of(0x40 | 62, 1, 0x62))).toBeUndefined()
  expect(check.check(Uint8Array.of(0x80 | 62))).toBeUndefined()
  expect(check.check(literal('x b', 'a', false, 0x40))).toBe('name')
  expect(check.check(Uint8Array.of(62 | 0x40, 1, 0x62))).toBe('name')
  expect(check.check(Uint8Array.of(0x20))).toBeUndefined()
  expect(() => check.check(Uint8Array.of(0x80 | 62))).toThrow(H2Error)
})

test('it finds what a decoder and a pattern find, whatever is said in which order', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '-', ' ', '\t', '\n', '\0', '\xe4', '\x7f', ':'), maxLength: 5 })
  const field = fc
    .tuple(text, text, fc.boolean(), fc.constantFrom(0, 0x10, 0x40, 0x40))
    .map(([name, value, huffman, how]) => literal(name, value, huffman, how))
  const reference = fc.integer({ min: 1, max: 66 }).map((index) => Uint8Array.of(0x80 | index))
  const named = fc
    .tuple(fc.oneof(fc.constant(38), fc.integer({ min: 1, max: 62 })), text, fc.boolean())
    .map(([index, value, huffman]) => join([0x40 | index], string(value, huffman)))
  const block = fc.array(fc.oneof(field, reference, named), { maxLength: 6 }).map((parts) => join(...parts))
  const expected = (decoder: HpackDecoder, bytes: Uint8Array) =>
    decoder
      .decode(bytes)
      .some(
        ([name, value]) =>
          (name[0] !== ':' && !/^[\w!#$%&'*+\-.^`|~]+$/.test(name)) ||
          (name === 'host' && /[\t \x80-\xff]/.test(value)) ||
          /[^\t\x20-\x7e\x80-\xff]|^[\t ]|[\t ]$/.test(value),
      )
  fc.assert(
    fc.property(fc.array(block, { maxLength: 8 }), (blocks) => {
      const decoder = new HpackDecoder({ maxTableSize: 150 })
      const check = new FieldCheck(150)
      for (const bytes of blocks) {
        let faulty: boolean | undefined
        try {
          faulty = expected(decoder, bytes)
        } catch {
          expect(() => check.check(bytes)).toThrow(H2Error)
          return
        }
        expect(check.check(bytes) !== undefined).toBe(faulty)
      }
    }),
    { numRuns: 2000 },
  )
})
