// HTTP/2 over TLS, where a connection is two streams: those that are silent leave nothing behind.
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { create } from '@bufbuild/protobuf'
import { encodeFrame, flags, frameTypes } from '@wishbone/core/h2'
import { l7 } from '@wishbone/proto'
import { issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { defaultLimits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { block, connectHttp2, get, type Http2Client, headers } from './http2-client.ts'
import { type Backend, httpBackend } from './servers.ts'

const root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
let world: World
let app: Backend

beforeEach(async () => {
  app = await httpBackend((_request, response) => {
    response.setHeader('x-large', 'y'.repeat(60_000))
    response.end('ok')
  })
  const limits = { ...defaultLimits, headersTimeoutMs: 300, stallTimeoutMs: 300, idleTimeoutMs: 600 }
  world = await startWorld({ app: [app.port] }, [], { limits })
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const chainPem = issueLeaf({ publicKey, dnsSans: ['h'], ttlSeconds: 3600, signer: root }).pem
  const keyPem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
  const certificate = create(l7.CertificateSchema, { name: 'shop/h', chainPem, keyPem })
  const listener = create(l7.ListenerSchema, {
    name: 'secure',
    protocol: l7.Protocol.HTTPS,
    bound: { case: 'gateway', value: { port: 443, hostname: '' } },
    tls: { certificates: ['shop/h'] },
  })
  world.store.apply('certificates', [[certificate.name, certificate]], [])
  world.store.apply('listeners', [[listener.name, listener]], [])
  await world.setRoutes([{ name: 'r', parents: [{ listener: 'secure' }], backends: [to('app')] }])
})

afterEach(async () => {
  await world.waypoint.close()
  app.close()
})

/** A client that never closes its side by itself. */
async function connect(): Promise<{ client: Http2Client; below: net.Socket; socket: tls.TLSSocket }> {
  const port = world.waypoint.gateway.boundPort(443)!
  const below = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  const socket = tls.connect({ socket: below, servername: 'h', ca: root.certPem, ALPNProtocols: ['h2'] })
  await once(socket, 'secureConnect')
  return { client: connectHttp2(socket), below, socket }
}

const connections = () => world.waypoint.gateway.connections

test.each<[string, readonly Uint8Array[], number]>([
  ['no request', [], 0],
  ['a request', [headers(1, get)], 0],
  ['half a head', [encodeFrame(frameTypes.headers, flags.endStream, 1, block(get))], 11],
])('%s, and no more', async (_what, frames, code) => {
  const { client, below } = await connect()
  client.send(...frames)
  expect(connections()).toBe(1)
  await expect.poll(() => client.goaway?.code, { timeout: 3_000 }).toBe(code)
  await expect.poll(connections, { timeout: 5_000 }).toBe(0)
  below.destroy()
})

test('nothing is taken', { timeout: 20_000 }, async () => {
  const { client, below, socket } = await connect()
  socket.pause()
  below.pause()
  client.send(...Array.from({ length: 200 }, (_, index) => headers(1 + 2 * index, get)))
  await expect.poll(() => world.accessLog.length, { timeout: 10_000 }).toBeGreaterThan(10)
  await expect.poll(connections, { timeout: 10_000 }).toBe(0)
  below.destroy()
})
