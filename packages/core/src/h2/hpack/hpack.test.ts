import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { errorCodes } from '../constants.ts'
import { H2Error } from '../error.ts'
import { HpackDecoder } from './decoder.ts'
import { dynamicTableOff, encodeHeaders } from './encoder.ts'
import { decodeHuffman, encodeHuffman, huffmanCodes } from './huffman.ts'
import { type HeaderField, staticTable } from './table.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const broken = expect.objectContaining({ name: 'H2Error', code: errorCodes.compressionError, scope: 'connection' })

/** One connection's blocks in a row: hex of each, the fields it has, and the table's size after it (RFC 7541 Appendix C). */
const examples: [string, number, [string, HeaderField[], number][]][] = [
  [
    'C.3, requests',
    4096,
    [
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
        ],
        57,
      ],
      [
        '8286 84be 5808 6e6f 2d63 6163 6865',
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
          ['cache-control', 'no-cache'],
        ],
        110,
      ],
      [
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
        [
          [':method', 'GET'],
          [':scheme', 'https'],
          [':path', '/index.html'],
          [':authority', 'www.example.com'],
          ['custom-key', 'custom-value'],
        ],
        164,
      ],
    ],
  ],
  [
    'C.4, requests with Huffman',
    4096,
    [
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
        ],
        57,
      ],
      [
        '8286 84be 5886 a8eb 1064 9cbf',
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
          ['cache-control', 'no-cache'],
        ],
        110,
      ],
    ],
  ],
  [
    'C.6, responses with Huffman and eviction',
    256,
    [
      [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
        [
          [':status', '302'],
          ['cache-control', 'private'],
          ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
          ['location', 'https://www.example.com'],
        ],
        222,
      ],
      [
        '4883 640e ffc1 c0bf',
        [
          [':status', '307'],
          ['cache-control', 'private'],
          ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
          ['location', 'https://www.example.com'],
        ],
        222,
      ],
    ],
  ],
]

describe('decoder', () => {
  test.each(examples)('RFC 7541 %s', (_, maxTableSize, blocks) => {
    const decoder = new HpackDecoder({ maxTableSize })
    for (const [hex, fields, size] of blocks) {
      expect(decoder.decode(bytes(hex))).toEqual(fields)
      expect(decoder.tableSize).toBe(size)
    }
  })

  const wrong: [string, string][] = [
    ['index 0', '80'],
    ['an index that no entry has', 'be'],
    ['a name index that no entry has', '7e 00'],
    ['a truncated string', '40 0a 61'],
    ['a missing value', '40 01 61'],
    ['an endless integer', 'ff ff ff ff ff ff 7f'],
    ['a truncated integer', 'ff 80'],
    ['a table size above the limit', '3f e2 1f'],
    ['a table size update after a field', '82 20'],
    ['the end-of-string symbol', '40 01 61 84 ff ff ff ff'],
    ['padding of a whole byte', '40 01 61 82 1f ff'],
    ['padding with zeros', '40 01 61 81 18'],
  ]
  test.each(wrong)('refuses %s, and every block after it', (_, hex) => {
    const decoder = new HpackDecoder()
    expect(() => decoder.decode(bytes(hex))).toThrow(broken)
    expect(() => decoder.decode(bytes('82'))).toThrow(broken)
  })

  test('table size updates shrink and empty the table', () => {
    const decoder = new HpackDecoder()
    decoder.decode(bytes('40 01 61 01 62'))
    expect(decoder.decode(bytes('be'))).toEqual([['a', 'b']])
    decoder.decode(bytes('20 3f e1 1f'))
    expect(decoder.tableSize).toBe(0)
    expect(() => decoder.decode(bytes('be'))).toThrow(broken)
  })

  test('an entry larger than the table empties it and is no error', () => {
    const decoder = new HpackDecoder({ maxTableSize: 40 })
    decoder.decode(bytes('40 01 61 01 62'))
    expect(decoder.tableSize).toBe(34)
    const long = `40 01 61 14 ${'62'.repeat(20)}`
    expect(decoder.decode(bytes(long))).toHaveLength(1)
    expect(decoder.tableSize).toBe(0)
  })

  test('a list that is too large costs one stream, and the tables stay together', () => {
    const decoder = new HpackDecoder({ maxHeaderListSize: 100 })
    const block = bytes(`40 01 61 7e ${'62'.repeat(126)}`)
    const calm = expect.objectContaining({ code: errorCodes.enhanceYourCalm, scope: 'stream' })
    expect(() => decoder.decode(block)).toThrow(calm)
    expect(decoder.tableSize).toBe(1 + 126 + 32)
    expect(() => decoder.decode(bytes('be be be be'))).toThrow(calm)
    expect(decoder.decode(bytes('82'))).toEqual([[':method', 'GET']])
  })

  test.each(['94407fcfbebebe7fb37f517f08f83f37', '007fffffffff7f', '007fffffffff0f', '3fffffffff7f', 'ffffffffff0f'])(
    'an integer that does not fit is refused: %s',
    (block) => {
      const decoder = new HpackDecoder({ maxTableSize: 128, maxHeaderListSize: 500 })
      expect(() => decoder.decode(Uint8Array.fromHex(block))).toThrow('an integer that is too large')
    },
  )

  test('random blocks throw nothing but H2Error, and the table stays within its size', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .array(fc.constantFrom(0x40, 0x82, 0xbe, 0x01, 0x61, 0x20, 0x00, 0x7f, 0x3f), { maxLength: 40 })
        .map((b) => Uint8Array.from(b)),
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 4 }), (blocks) => {
        const decoder = new HpackDecoder({ maxTableSize: 128, maxHeaderListSize: 500 })
        for (const block of blocks) {
          try {
            decoder.decode(block)
          } catch (error) {
            expect(error).toBeInstanceOf(H2Error)
          }
          expect(decoder.tableSize).toBeLessThanOrEqual(128)
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('keeps the newest entries through many evictions', () => {
    const decoder = new HpackDecoder({ maxTableSize: 34 * 3 })
    for (let i = 0; i < 500; i++) {
      const value = 97 + (i % 26)
      decoder.decode(Uint8Array.of(0x40, 1, 97, 1, value))
      expect(decoder.decode(Uint8Array.of(0xbe))).toEqual([['a', String.fromCharCode(value)]])
      expect(decoder.tableSize).toBeLessThanOrEqual(34 * 3)
    }
    expect(decoder.decode(bytes('be bf c0')).map(([, value]) => value)).toEqual(['f', 'e', 'd'])
  })
})

describe('encoder', () => {
  const text = fc.stringMatching(/^[\x01-\x09\x0b\x0c\x0e-\xff]{0,200}$/)
  const field: fc.Arbitrary<HeaderField> = fc.oneof(
    fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), text),
    fc.constantFrom(...staticTable),
    fc.tuple(fc.constantFrom(...staticTable.map(([name]) => name)), text),
  )

  test('round trip, and blocks do not depend on each other', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 10 }), fc.nat(400), (fields, room) => {
        const decoder = new HpackDecoder({ maxHeaderListSize: 1 << 20 })
        expect(decoder.decode(dynamicTableOff)).toEqual([])
        const block = encodeHeaders(fields, new Uint8Array(room))
        expect(decoder.decode(block)).toEqual(fields)
        expect(decoder.tableSize).toBe(0)
        expect(new HpackDecoder({ maxHeaderListSize: 1 << 20 }).decode(block)).toEqual(fields)
      }),
    )
  })

  test('writes into the buffer if there is room', () => {
    const buffer = new Uint8Array(100)
    const block = encodeHeaders([[':status', '200']], buffer)
    expect([...block]).toEqual([0x88])
    expect(block.buffer).toBe(buffer.buffer)
    expect(encodeHeaders([['a', 'b'.repeat(200)]], buffer).buffer).not.toBe(buffer.buffer)
  })

  test('secrets are marked as never to be indexed', () => {
    expect(encodeHeaders([['authorization', 'x']])[0]! & 0xf0).toBe(0x10)
  })

  test.each(['a\nb', 'a\rb', 'a\0b', 'a\u0100b'])('refuses %j', (value) => {
    expect(() => encodeHeaders([['a', value]])).toThrow(TypeError)
  })
})

describe('Huffman code', () => {
  test('is a complete prefix code of 257 symbols', () => {
    expect(huffmanCodes).toHaveLength(257)
    expect(huffmanCodes.reduce((sum, { length }) => sum + 2 ** -length, 0)).toBe(1)
    expect(huffmanCodes[256]).toEqual({ code: 0x3fff_ffff, length: 30 })
  })

  test('round trip', () => {
    const text = fc.uint8Array({ maxLength: 100 }).map((b) => Buffer.from(b).toString('latin1'))
    fc.assert(
      fc.property(text, (value) => {
        expect(decodeHuffman(encodeHuffman(value))).toBe(value)
      }),
    )
  })
})
