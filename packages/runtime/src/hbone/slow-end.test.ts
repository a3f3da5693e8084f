// A session that ends while its peer takes long to read.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { sessionPair } from './testing.ts'
import type { Tunnel } from './types.ts'

afterEach(() => vi.useRealTimers())

const ignored = { data: () => undefined, end: () => undefined, drain: () => undefined, closed: () => undefined }

test('what was sent before the drain reaches a peer that takes longer than the session lingers', async () => {
  const accepted: Tunnel[] = []
  const { client, server, sockets } = await sessionPair({
    onConnect: (request) => void accepted.push(request.accept()),
  })
  let ended = 0
  const tunnels = await Promise.all([1, 2, 3, 4].map((port) => client.open(`10.0.0.1:${port}`, {})))
  for (const tunnel of tunnels) {
    tunnel.attach({ ...ignored, data: (chunk) => tunnel.consumed(chunk.length), end: () => ended++ })
    tunnel.end()
  }
  let clientsEnded = 0
  for (const tunnel of accepted) tunnel.attach({ ...ignored, end: () => clientsEnded++ })
  await expect.poll(() => clientsEnded).toBe(4)
  sockets[0].pause()
  // More than the kernel keeps for a connection.
  const size = 4_000_000
  for (const tunnel of accepted) {
    tunnel.write(Buffer.alloc(size))
    tunnel.end()
  }
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const drained = server.drain()
  vi.advanceTimersByTime(1_500)
  vi.advanceTimersByTime(6_000)
  vi.useRealTimers()
  await sleep(50)
  sockets[0].resume()
  await drained
  await client.closed
  expect(tunnels.map(({ received }) => received)).toEqual([size, size, size, size])
  expect(ended).toBe(4)
})
