import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { EndpointLoad } from '@wishbone/core/picker'
import { afterEach, expect, test } from 'vitest'
import { createDialler, type DiallerOptions } from './dial.ts'
import type { Target } from './target.ts'

const closers: (() => void)[] = []

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

const connectTimeoutMs = 50

/** Dials a server, and tells how many connections to it are open in the end. */
async function dialled(hostname: string, clientPair: DiallerOptions['clientPair']): Promise<[unknown, number]> {
  const server = net.createServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  closers.push(() => server.close())
  await once(server, 'listening')
  const target = {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    tunnel: null,
    label: 'backend',
    load: new EndpointLoad(),
    tls: { hostname, caPem: '', systemCa: false, subjectAltNames: [], invalid: '' },
  } as unknown as Target
  const dial = createDialler({ openTunnel: () => Promise.reject(new Error()), connectTimeoutMs, clientPair })
  const error = await dial(target, []).catch((cause: unknown) => cause)
  // Longer than a handshake may take: a clock that still runs strikes.
  await new Promise((resolve) => setTimeout(resolve, 2 * connectTimeoutMs))
  const open = await new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
  return [error, open]
}

const noPair = () => {
  throw new MeshError('tls-failure', 'has not arrived', { at: 'upstream' })
}

test.each<readonly [string, string, DiallerOptions['clientPair']]>([
  ['a hostname that SNI cannot say', '10.0.0.1', () => undefined],
  ['a certificate to show that is none', 'a.example', () => ({ cert: 'none', key: 'none' })],
  ['a certificate to show that has not arrived', 'a.example', noPair],
])('%s is a failure of TLS, and leaves no connection behind', async (_what, hostname, clientPair) => {
  const [error, open] = await dialled(hostname, clientPair)
  expect(error).toMatchObject({ code: 'tls-failure' })
  expect(open).toBe(0)
})
