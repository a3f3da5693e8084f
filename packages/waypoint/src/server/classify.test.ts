import fc from 'fast-check'
import { expect, test } from 'vitest'
import { classify } from './classify.ts'

test.each([
  ['', 'undecided'],
  ['G', 'undecided'],
  ['GET ', 'undecided'],
  ['GET /', 'http1'],
  ['GET / HTTP/1.1\r\n', 'http1'],
  ['OPTIONS * HTTP/1.1\r\n', 'http1'],
  ['GET http://h/ HTTP/1.1\r\n', 'http1'],
  ['BREW-IT /pot HTTP/1.1\r\n', 'http1'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
  ['PRI * HTTP/2.0', 'undecided'],
  ['EHLO example.org\r\n', 'other'],
  ['USER anonymous\r\n', 'other'],
  ['*1\r\n$4\r\nPING\r\n', 'other'],
  ['PING\r\n', 'other'],
  ['\x16\x03\x01', 'tls'],
  ['\x16\x09\x01', 'other'],
  ['\x00\x00', 'other'],
  ['abcdefghijklmnop', 'other'],
])('%j is %s', (text, expected) => {
  expect(classify(Buffer.from(text, 'latin1'))).toBe(expected)
})

test('any bytes are told apart', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      for (let end = 0; end <= bytes.length; end++) classify(Buffer.from(bytes.subarray(0, end)))
    }),
  )
})
