import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { type Decision, readFirstBytes } from './first-bytes.ts'

const text = (bytes: Buffer): string => bytes.toString('latin1')

/** A word ends with a full stop; `taken` of its bytes are taken. */
const word =
  (taken: (length: number) => number) =>
  (bytes: Buffer): Decision<string> => {
    const end = bytes.indexOf('.')
    return end < 0 ? 'more' : { value: text(bytes.subarray(0, end)), taken: taken(end + 1) }
  }
const leave = word(() => 0)
const take = word((length) => length)

async function rest(stream: PassThrough): Promise<string> {
  stream.end()
  return text(Buffer.concat(await stream.toArray()))
}

test('bytes that come one by one decide together, and stay in the stream', async () => {
  const stream = new PassThrough()
  const first = readFirstBytes(stream, 60_000, leave)
  for (const letter of 'one.two') {
    stream.write(letter)
    await new Promise(setImmediate)
  }
  expect(await first).toEqual({ kind: 'decided', value: 'one' })
  expect(await rest(stream)).toBe('one.two')
})

test('what is taken is gone, and what follows it stays', async () => {
  const stream = new PassThrough()
  stream.write('one.two')
  expect(await readFirstBytes(stream, 60_000, take)).toEqual({ kind: 'decided', value: 'one' })
  expect(await rest(stream)).toBe('two')
})

test('one decision after another', async () => {
  const stream = new PassThrough()
  stream.write('one.two.three')
  await readFirstBytes(stream, 60_000, take)
  expect(await readFirstBytes(stream, 60_000, leave)).toEqual({ kind: 'decided', value: 'two' })
  expect(await rest(stream)).toBe('two.three')
})

test('bytes whose sender has ended decide as well', async () => {
  const stream = new PassThrough()
  stream.end('one.two')
  expect(await readFirstBytes(stream, 60_000, leave)).toEqual({ kind: 'decided', value: 'one' })
  expect(text(Buffer.concat(await stream.toArray()))).toBe('one.two')
})

test('the time is over: what came stays in the stream', async () => {
  const stream = new PassThrough()
  stream.write('on')
  expect(await readFirstBytes(stream, 10, leave)).toEqual({ kind: 'silent', bytes: Buffer.from('on') })
  expect(await rest(stream)).toBe('on')
})

test.each<[string, (stream: PassThrough) => void]>([
  ['ends', (stream) => stream.end('on')],
  ['fails', (stream) => stream.write('on', () => setImmediate(() => stream.destroy(new Error('reset'))))],
  ['is closed', (stream) => stream.write('on', () => setImmediate(() => stream.destroy()))],
])('a stream that %s before its bytes decide', async (_, act) => {
  const stream = new PassThrough()
  const first = readFirstBytes(stream, 60_000, leave)
  act(stream)
  expect(await first).toEqual({ kind: 'ended', bytes: Buffer.from('on') })
  expect(stream.listenerCount('readable') + stream.listenerCount('end')).toBe(0)
})

test('what an earlier look took with the end of the stream leaves nothing to wait for', async () => {
  const stream = new PassThrough()
  stream.end('one.')
  expect(await readFirstBytes(stream, 60_000, take)).toEqual({ kind: 'decided', value: 'one' })
  await new Promise(setImmediate)
  expect(await readFirstBytes(stream, 1_000, take)).toEqual({ kind: 'ended', bytes: Buffer.alloc(0) })
})
