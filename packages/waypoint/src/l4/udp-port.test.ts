import dgram from 'node:dgram'
import { once } from 'node:events'
import { createLogger } from '@wishbone/runtime/log'
import { afterEach, expect, test, vi } from 'vitest'
import { UdpPort } from './udp-port.ts'

const log = createLogger({ program: 'test', level: 'error', sink: { write() {}, flush() {}, dropped: 0 } })
const closers: (() => void)[] = []

afterEach(() => {
  vi.restoreAllMocks()
  for (const close of closers.splice(0)) close()
})

/** A port with one route to this endpoint, its socket, and why datagrams were dropped. */
async function open(host: string, port: number) {
  const spy = vi.spyOn(dgram, 'createSocket')
  const dropped: string[] = []
  const udp = await UdpPort.open('127.0.0.1', 0, {
    table: () => ({
      port: 1,
      listener: 'udp',
      rule: { name: 'route', backends: [{ weight: 1, endpoints: [{ host, port }] }] },
    }),
    allows: () => true,
    metrics: { datagram() {}, flow() {}, dropped: (reason) => dropped.push(reason) },
    random: () => 0,
    now: () => 0,
    log,
  })
  closers.push(() => udp.close())
  return { udp, dropped, socket: spy.mock.results[0]!.value as dgram.Socket }
}

async function endpoint(): Promise<number> {
  const server = dgram.createSocket('udp4')
  server.on('message', (message, from) => server.send(message, from.port, from.address))
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  return server.address().port
}

async function ask(port: number): Promise<string> {
  const client = dgram.createSocket('udp4')
  closers.push(() => client.close())
  client.send('ping', port, '127.0.0.1')
  const [answer] = await once(client, 'message')
  return String(answer)
}

test('a datagram without a source port is dropped: nobody could be answered (RFC 768)', async () => {
  const { udp, dropped, socket } = await open('127.0.0.1', await endpoint())
  socket.emit('message', Buffer.from('ping'), { address: '127.0.0.1', family: 'IPv4', port: 0, size: 4 })
  // An answer to it would have come before this one, and have ended the process.
  expect(await ask(udp.boundPort)).toBe('ping')
  expect(dropped).toEqual(['no-source-port'])
})

test('an endpoint that the system does not connect to costs the datagram, not the process', async () => {
  const { udp, dropped } = await open('255.255.255.255', 9)
  const client = dgram.createSocket('udp4')
  closers.push(() => client.close())
  for (let sent = 1; sent <= 2; sent++) {
    client.send('ping', udp.boundPort, '127.0.0.1')
    await vi.waitFor(() => expect(dropped).toHaveLength(sent))
  }
  expect(dropped).toEqual(['unreachable', 'unreachable'])
})

test.each([0, 65_536, 4_294_967_295])('an endpoint with the port %i, which is none, is no endpoint', async (port) => {
  const { udp, dropped } = await open('127.0.0.1', port)
  const client = dgram.createSocket('udp4')
  closers.push(() => client.close())
  client.send('ping', udp.boundPort, '127.0.0.1')
  await vi.waitFor(() => expect(dropped).toEqual(['no-endpoint']))
})
