import * as net from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  canonicalIp,
  formatCidr,
  formatIp,
  formatSocketAddress,
  inCidr,
  ipKey,
  isLoopback,
  maskIp,
  parseCidr,
  parseIp,
  parseSocketAddress,
} from './index.ts'

describe('addresses', () => {
  const texts: [string, string | undefined][] = [
    ['1.2.3.4', '1.2.3.4'],
    ['255.255.255.255', '255.255.255.255'],
    ['256.1.1.1', undefined],
    ['1.2.3', undefined],
    ['1.2.3.4.5', undefined],
    ['1.2.3.', undefined],
    ['01.2.3.4', undefined],
    ['1.2.3.4 ', undefined],
    ['', undefined],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::0001', '2001:db8::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['1::2::3', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1:2:3:4:5:6:7::8', undefined],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['12345::', undefined],
    ['fe80::1%eth0', undefined],
    ['1.2.3.4::', undefined],
    [':::', undefined],
    [':1', undefined],
  ]
  test.each(texts)('%s is %s', (text, expected) => {
    const parsed = parseIp(text)
    expect(parsed === undefined ? undefined : formatIp(parsed)).toBe(expected)
  })

  test('text and bytes round trip, and node agrees', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.array(fc.constantFrom(0, 0, 0, 255), { minLength: 16, maxLength: 16 }).map((b) => Uint8Array.from(b)),
    )
    fc.assert(
      fc.property(bytes, (ip) => {
        expect(net.isIP(formatIp(ip))).toBe(ip.length === 4 ? 4 : 6)
        expect(parseIp(formatIp(ip))).toEqual(ip)
      }),
    )
  })

  test('accepts nothing that node does not', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789abcf:.'), maxLength: 20 })
    fc.assert(
      fc.property(fc.oneof(text, fc.string(), fc.ipV6(), fc.ipV4()), (candidate) => {
        expect(parseIp(candidate) !== undefined).toBe(net.isIP(candidate) !== 0)
      }),
      { numRuns: 2000 },
    )
  })

  test('an IPv4-mapped address is its IPv4 address', () => {
    expect(ipKey(parseIp('::ffff:10.0.0.1')!)).toBe('10.0.0.1')
    expect(canonicalIp(parseIp('::fffe:10.0.0.1')!)).toHaveLength(16)
  })

  test.each([
    ['127.9.9.9', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['128.0.0.1', false],
    ['::2', false],
  ])('%s is loopback: %s', (text, expected) => expect(isLoopback(parseIp(text)!)).toBe(expected))
})

describe('networks', () => {
  const cases: [string, string, boolean][] = [
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['10.0.0.127', '10.0.0.64/26', true],
    ['10.0.0.128', '10.0.0.64/26', false],
    ['1.2.3.4', '0.0.0.0/0', true],
    ['::1', '0.0.0.0/0', false],
    ['1.2.3.4', '::/0', false],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['fd00::1', 'fd00::/8', true],
    ['fe00::1', 'fd00::/8', false],
    ['10.0.0.1', '10.0.0.1', true],
  ]
  test.each(cases)('%s in %s: %s', (ip, text, expected) => {
    const cidr = parseCidr(text)!
    expect(inCidr(parseIp(ip)!, cidr.address, cidr.length)).toBe(expected)
  })

  test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '::/129', 'x/8', '10.0.0.0/8/8'])(
    '%s is no network',
    (text) => expect(parseCidr(text)).toBeUndefined(),
  )

  test('a network holds its own addresses, and masking is idempotent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.nat(32), (ip, length) => {
        const net = maskIp(ip, length)
        expect(inCidr(ip, net, length)).toBe(true)
        expect(maskIp(net, length)).toEqual(net)
        expect(parseCidr(formatCidr({ address: ip, length }))).toEqual({ address: net, length })
      }),
    )
  })
})

describe('socket addresses', () => {
  const cases: [string, string | undefined][] = [
    ['1.2.3.4:80', '1.2.3.4:80'],
    ['[::1]:80', '[::1]:80'],
    ['[::ffff:1.2.3.4]:80', '1.2.3.4:80'],
    ['::1:80', undefined],
    ['[1.2.3.4]:80', undefined],
    ['1.2.3.4', undefined],
    ['1.2.3.4:', undefined],
    ['1.2.3.4:65536', undefined],
    ['1.2.3.4:080', undefined],
    ['1.2.3.4:+8', undefined],
    ['[::1]80', undefined],
    ['a:80', undefined],
  ]
  test.each(cases)('%s is %s', (text, expected) => {
    const parsed = parseSocketAddress(text)
    expect(parsed === undefined ? undefined : formatSocketAddress(parsed.ip, parsed.port)).toBe(expected)
  })
})
