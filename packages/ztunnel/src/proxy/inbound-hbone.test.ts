import net from 'node:net'
import type { MeshError } from '@wishbone/core/errors'
import { Handshakes } from '@wishbone/runtime/tls'
import { afterEach, expect, test, vi } from 'vitest'
import { serveHbone } from './inbound-hbone.ts'
import type { PodScope } from './scope.ts'

const open: { destroy(): void }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.destroy()
})

/** A pod whose certificate does not come, and clients that say nothing. */
async function setUp(handshakes: Handshakes) {
  const refused: MeshError[] = []
  const pod = {
    identity: 'spiffe://cluster.local/ns/shop/sa/web',
    handshakes,
    context: {
      certificates: { get: () => new Promise(() => undefined) },
      reporter: { refused: (_direction: string, _from: string, _to: string, error: MeshError) => refused.push(error) },
      settings: { trustDomain: 'cluster.local' },
    },
  } as unknown as PodScope
  const accepted: net.Socket[] = []
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    accepted.push(socket)
    open.push(socket)
    void serveHbone(pod, socket)
  })
  open.push({ destroy: () => server.close() })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const connect = () => {
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
    client.on('error', () => undefined)
    open.push(client)
  }
  return { refused, accepted, connect, alive: () => accepted.filter(({ destroyed }) => !destroyed).length }
}

test('clients that say nothing are bounded in number', async () => {
  const { refused, accepted, connect, alive } = await setUp(new Handshakes({ limit: 3 }))
  for (let i = 0; i < 10; i++) connect()
  await expect.poll(() => accepted.length).toBe(10)
  await vi.waitFor(() => expect(alive()).toBe(3))
  expect(refused.map(({ code }) => code)).toEqual(Array(7).fill('overloaded'))
})

test('a client is not kept waiting for a certificate for ever', async () => {
  const { refused, accepted, connect, alive } = await setUp(new Handshakes({ timeoutMs: 30 }))
  connect()
  await expect.poll(() => accepted.length).toBe(1)
  await vi.waitFor(() => expect(alive()).toBe(0))
  expect(refused).toMatchObject([{ code: 'tls-failure' }])
})
