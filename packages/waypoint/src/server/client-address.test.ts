import { formatIp, parseIp } from '@wishbone/core/ip'
import { expect, test } from 'vitest'
import { clientAddress } from './client-address.ts'

const cases: [string | undefined, number, string][] = [
  [undefined, 0, '10.0.0.9'],
  ['1.1.1.1', 0, '10.0.0.9'],
  [undefined, 1, '10.0.0.9'],
  ['1.1.1.1', 1, '1.1.1.1'],
  ['6.6.6.6, 1.1.1.1', 1, '1.1.1.1'],
  ['6.6.6.6, 1.1.1.1, 2.2.2.2', 2, '1.1.1.1'],
  ['1.1.1.1', 3, '1.1.1.1'],
  ['1.1.1.1:8080', 1, '1.1.1.1'],
  ['[2001:db8::1]:8080', 1, '2001:db8::1'],
  ['::ffff:1.1.1.1', 1, '1.1.1.1'],
  ['6.6.6.6, unknown', 1, '10.0.0.9'],
  ['', 1, '10.0.0.9'],
]
test.each(cases)('%s with %i trusted hops', (header, hops, expected) => {
  expect(formatIp(clientAddress(parseIp('10.0.0.9')!, header, hops))).toBe(expected)
})
