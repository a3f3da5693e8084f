// Sockets of this namespace; what needs others is in sockets.root.test.ts.
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { listenIn, peerHasClosed } from './index.ts'
import { readOption } from './libc.ts'
import { boundAddress, socketFd } from './sockets.ts'

async function pair(): Promise<[client: net.Socket, server: net.Socket]> {
  const listening = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  const [server] = (await once(listening, 'connection')) as [net.Socket]
  listening.close()
  return [client, server.on('error', () => {})]
}

test.each<[string, (client: net.Socket) => void]>([
  ['closes', (client) => void client.destroy()],
  ['closes its side', (client) => void client.end()],
  ['resets', (client) => void client.resetAndDestroy()],
])('a peer that %s behind bytes that nobody reads', async (_way, leave) => {
  const [client, server] = await pair()
  client.write('unread')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(peerHasClosed(server)).toBe(false)
  leave(client)
  await expect.poll(() => peerHasClosed(server)).toBe(true)
  server.destroy()
  expect(peerHasClosed(server)).toBe(false)
})

test('a socket that has ended its own side has a peer that may go on', async () => {
  const [client, server] = await pair()
  server.end()
  await once(client.resume(), 'end')
  expect(peerHasClosed(server)).toBe(false)
  client.end()
  await expect.poll(() => peerHasClosed(server)).toBe(true)
  server.destroy()
})

test('what a listener accepts has the keepalive of dialled connections: 180 s, 180 s, nine times', async () => {
  const fd = listenIn(undefined, { ip: '127.0.0.1', port: 0 })
  const { port } = boundAddress(fd)!
  const server = net.createServer().listen({ fd })
  const client = net.connect(port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  const value = (level: number, name: number) => {
    const into = Buffer.alloc(4)
    expect(readOption(socketFd(accepted)!, level, name, into)).toBe(true)
    return into.readInt32LE()
  }
  // SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
  expect([value(1, 9), value(6, 4), value(6, 5), value(6, 6)]).toEqual([1, 180, 180, 9])
  client.destroy()
  accepted.destroy()
  server.close()
})
