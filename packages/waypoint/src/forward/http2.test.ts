import { once } from 'node:events'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import type { ExchangeHandler, UpstreamRequest } from './exchange.ts'
import { Http2Pool } from './http2.ts'

const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A pool of connections to a server that answers each stream with a head and leaves it open. */
async function poolTo(settings: http2.Settings, onSession: (session: http2.ServerHttp2Session) => void = () => {}) {
  const sessions: http2.ServerHttp2Session[] = []
  const server = http2.createServer({ settings })
  server.on('session', (session) => {
    sessions.push(session)
    session.on('error', () => {})
    onSession(session)
  })
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pool = new Http2Pool(async () => {
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }, 'http')
  closers.push(() => {
    server.close()
    for (const session of sessions) session.destroy()
  })
  return { pool, sessions }
}

const request: UpstreamRequest = {
  method: 'GET',
  target: '/',
  authority: 'h',
  headers: [],
  body: null,
  acceptsTrailers: false,
  expectsContinue: false,
}

/** What comes first: the status of the head, or the failure's kind. */
function ask(pool: Http2Pool): Promise<number | string> {
  const { promise, resolve } = Promise.withResolvers<number | string>()
  const handler: ExchangeHandler = {
    onInformational() {},
    onHead: (status) => resolve(status),
    onData: () => true,
    onEnd() {},
    onError: ({ kind }) => resolve(kind),
  }
  const exchange = pool.dispatch(request, handler)
  closers.push(() => exchange.abort())
  return Promise.race([promise, new Promise<string>((late) => setTimeout(late, 500, 'nothing'))])
}

test('requests that waited for one connection do not all go on it when it takes fewer', async () => {
  const { pool, sessions } = await poolTo({ maxConcurrentStreams: 2 })
  expect(await Promise.all([ask(pool), ask(pool), ask(pool), ask(pool), ask(pool)])).toEqual([200, 200, 200, 200, 200])
  expect(sessions).toHaveLength(3)
})

test.each<readonly [string, http2.Settings, (session: http2.ServerHttp2Session) => void]>([
  ['takes no streams', { maxConcurrentStreams: 0 }, () => {}],
  ['says goodbye at once', {}, (session) => session.goaway()],
])('a backend that %s is not connected to without end', async (_what, settings, onSession) => {
  const { pool, sessions } = await poolTo(settings, onSession)
  expect(await ask(pool)).toBe('connect')
  expect(sessions).toHaveLength(1)
})
