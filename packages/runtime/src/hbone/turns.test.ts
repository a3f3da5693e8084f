import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@wishbone/core/errors'
import { expect, test } from 'vitest'
import type { H2Stream } from './stream.ts'
import { sessionPair } from './testing.ts'
import type { Tunnel, TunnelSink } from './types.ts'

const ignore: TunnelSink = {
  data: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  closed: () => undefined,
}

test("streams that wait for the connection's window are left alone until it grows", async () => {
  const tunnels: Tunnel[] = []
  const settings = { connectionWindow: 128 << 10 }
  const { client, server } = await sessionPair({
    settings,
    onConnect: (request) => void tunnels.push(request.accept()),
  })
  const streams = await Promise.all([1, 2].map((port) => client.open(`10.0.0.1:${port}`, {})))
  let tries = 0
  for (const stream of streams as H2Stream[]) {
    stream.attach(ignore)
    const resume = stream.resume.bind(stream)
    stream.resume = () => {
      tries++
      resume()
    }
    stream.write(Buffer.alloc(100 << 10))
  }
  await expect.poll(() => tunnels.reduce((sum, { received }) => sum + received, 0)).toBe(128 << 10)
  tries = 0
  await sleep(50)
  expect(tries).toBeLessThan(10)
  // What arrived before is consumed: the window grows, and the rest comes.
  for (const tunnel of tunnels) tunnel.attach({ ...ignore, data: (chunk) => tunnel.consumed(chunk.length) })
  await expect.poll(() => tunnels.reduce((sum, { received }) => sum + received, 0)).toBe(200 << 10)
  server.close(new MeshError('draining', 'the test is over'))
  await client.closed
})
