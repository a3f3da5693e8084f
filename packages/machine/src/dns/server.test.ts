import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { encode, type Packet } from 'dns-packet'
import { afterEach, expect, test } from 'vitest'
import { serveDatagrams } from './server.ts'

const udp = createSocket('udp4')

afterEach(() => udp.close())

test('a datagram without a source port is passed over', async () => {
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  serveDatagrams({} as never, udp)
  // Without a question the answer needs nothing of the directory.
  const query: Packet = { type: 'query', id: 7, questions: [] }
  const from = (port: number) => udp.emit('message', Buffer.from(encode(query)), { address: '127.0.0.1', port })
  expect(() => from(0)).not.toThrow()
})
