import { duplexPair, PassThrough } from 'node:stream'
import tls from 'node:tls'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readClientHello, serverNameOf } from './client-hello.ts'

async function clientHello(servername: string): Promise<Buffer> {
  const [near, far] = duplexPair()
  const client = tls.connect({ socket: near, servername })
  client.on('error', () => {})
  const hello = await new Promise<Buffer>((resolve) => far.once('data', resolve))
  client.destroy()
  return hello
}

test('the server name of a client is read in lower case', async () => {
  expect(serverNameOf(await clientHello('Web.Example.ORG'))).toBe('web.example.org')
})

test('a hello that is cut off has no server name', async () => {
  const hello = await clientHello('example.org')
  const at = hello.indexOf('example.org')
  expect(serverNameOf(hello.subarray(0, at + 5))).toBe('')
})

test('any bytes have a server name or none', () => {
  const start = fc.constantFrom(Buffer.from([0x16, 3, 1, 0, 60, 1]), Buffer.alloc(0))
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 64 }), (head, tail) => {
      expect(serverNameOf(Buffer.concat([head, tail]))).toBeTypeOf('string')
    }),
  )
})

const record = (length: number, sent = length): Buffer =>
  Buffer.concat([Buffer.from([0x16, 3, 1, length >> 8, length & 0xff]), Buffer.alloc(sent)])

test.each<[string, Buffer, boolean]>([
  ['a whole record', record(10), true],
  ['more than a record', record(10, 12), true],
  ['a part of a record', record(10, 9), false],
  ['a part of its header', Buffer.from([0x16, 3, 1, 0]), false],
  ['a record that claims to be longer than one can be', record(0xffff, 16_384), true],
  ['no TLS', Buffer.from('GET'), true],
])('%s is waited for no longer than needed', async (_, bytes, whole) => {
  const stream = new PassThrough()
  stream.write(bytes)
  const seen = readClientHello(stream, 60_000)
  const first = await Promise.race([seen, new Promise((resolve) => setTimeout(resolve, 20, 'waiting'))])
  expect(first).toEqual(whole ? bytes : 'waiting')
  if (!whole) stream.destroy()
  expect(await seen).toEqual(bytes)
})
