import { formatIp } from '@wishbone/core/ip'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseProxyHeader } from './proxy-protocol.ts'

const version2 = (command: number, family: number, payload: readonly number[]) =>
  Buffer.from([...Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), command, family, 0, payload.length, ...payload])
const v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]
const v6 = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1, ...Array(16).fill(0), 0x1f, 0x90, 0, 80]

function read(bytes: Buffer): string {
  const header = parseProxyHeader(bytes)
  if (header.kind !== 'header') return header.kind === 'invalid' ? `invalid: ${header.reason}` : header.kind
  const { client, length } = header
  return `${client ? `${formatIp(client.ip)} ${client.port}` : 'nobody'} after ${length}`
}

describe('headers', () => {
  const cases: [string, Buffer, string][] = [
    ['version 1', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\nGET'), '192.0.2.7 8080 after 39'],
    ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::1 ::1 8080 80\r\n'), '2001:db8::1 8080 after 36'],
    ['version 1, unknown', Buffer.from('PROXY UNKNOWN anything\r\n'), 'nobody after 24'],
    [
      'version 1, family and address differ',
      Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n'),
      'invalid: its line can not be read',
    ],
    ['version 1, port', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 70000 2\r\n'), 'invalid: its line can not be read'],
    [
      'version 1, port of ours',
      Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 7 99999\r\n'),
      'invalid: its line can not be read',
    ],
    ['version 1, address of ours', Buffer.from('PROXY TCP4 1.2.3.4 ::1 7 80\r\n'), 'invalid: its line can not be read'],
    ['version 1, too long', Buffer.from(`PROXY TCP4 ${'1'.repeat(120)}`), 'invalid: its line is too long'],
    ['version 2', version2(0x21, 0x11, v4), '192.0.2.7 8080 after 28'],
    ['version 2 with more than addresses', version2(0x21, 0x11, [...v4, 1, 0, 1, 9]), '192.0.2.7 8080 after 32'],
    ['version 2, IPv6', version2(0x21, 0x21, v6), '2001:db8::1 8080 after 52'],
    ['version 2, the balancer itself', version2(0x20, 0, []), 'nobody after 16'],
    ['version 2, Unix socket', version2(0x21, 0x31, [1, 2]), 'nobody after 18'],
    ['version 2, cut addresses', version2(0x21, 0x11, [1, 2, 3]), 'invalid: it is too short for its addresses'],
    ['version 3', version2(0x31, 0x11, v4), 'invalid: its version or command is unknown'],
    ['something else', Buffer.from('GET / HTTP/1.1\r\n'), 'invalid: it does not begin with a PROXY protocol header'],
  ]
  test.each(cases)('%s', (_, bytes, expected) => expect(read(bytes)).toBe(expected))

  test.each(cases.filter(([, , expected]) => expected.includes('after')))('%s, byte by byte', (_, bytes, expected) => {
    const length = Number(expected.split(' ').at(-1))
    for (let cut = 0; cut < length; cut++) expect(parseProxyHeader(bytes.subarray(0, cut)).kind).toBe('incomplete')
  })
})

test('any bytes are read or refused', () => {
  const start = fc.constantFrom(Buffer.from('PROXY TCP4 '), version2(0x21, 0x11, v4).subarray(0, 14), Buffer.alloc(0))
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      const bytes = Buffer.concat([head, tail])
      const header = parseProxyHeader(bytes)
      if (header.kind === 'header') expect(header.length).toBeLessThanOrEqual(bytes.length)
    }),
  )
})
