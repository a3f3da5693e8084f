import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { joinStreams } from './join.ts'

const late = async () => {
  await sleep(200)
  return 'still open' as const
}

test('a side that was gone before they were joined ends both', async () => {
  const [a] = duplexPair()
  const [b, server] = duplexPair()
  a.destroy()
  await sleep(1)
  const join = joinStreams(a, b)
  server.resume().write('welcome')
  expect(await Promise.race([join.done, late()])).toMatchObject({ failed: 'a' })
  expect(b.destroyed).toBe(true)
})

test('bytes, ends and both ways', async () => {
  const [client, a] = duplexPair()
  const [b, server] = duplexPair()
  const join = joinStreams(a, b)
  client.end('ping')
  server.end('pong!')
  const [asked, answered] = await Promise.all([server.toArray(), client.toArray()])
  expect([String(asked), String(answered)]).toEqual(['ping', 'pong!'])
  expect(await join.done).toEqual({ sent: 4, received: 5, error: undefined, failed: undefined })
})

test('a side that has ended and then goes ends the other, once that has what was on its way', async () => {
  const [client, a] = duplexPair()
  const [b, server] = duplexPair()
  const join = joinStreams(a, b)
  server.end('bye')
  await once(client.resume(), 'end')
  b.destroy()
  client.write('into the void')
  expect(await Promise.race([join.done, late()])).toMatchObject({ received: 3, failed: 'b' })
  expect(a.destroyed).toBe(true)
})

test('a side that had ended before they were joined ends its direction', async () => {
  const [client, a] = duplexPair()
  const [b, server] = duplexPair()
  client.end()
  await once(a.resume(), 'end')
  const join = joinStreams(a, b)
  const answered = client.toArray()
  expect(await Promise.race([once(server.resume(), 'end'), late()])).toEqual([])
  server.end('bye')
  expect(String(await answered)).toBe('bye')
  expect(await join.done).toMatchObject({ sent: 0, received: 3, error: undefined })
})
