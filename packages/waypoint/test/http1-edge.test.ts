// HTTP/1 as strangers send it: what gets to backends, what is refused, and what a client that goes away leaves behind.
import { once } from 'node:events'
import net from 'node:net'
import { l7 } from '@wishbone/proto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, closedPort, raw, tcpBackend } from './servers.ts'

let world: World
let backend: Backend
let seen: string
let silent: Backend

beforeEach(async () => {
  seen = ''
  backend = await tcpBackend((socket) => {
    socket.on('data', (chunk) => {
      const heads = chunk.toString('latin1')
      seen += heads
      if (heads.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  silent = await tcpBackend((socket) => socket.on('data', (chunk) => (seen += chunk.toString('latin1'))))
  const path = { kind: { case: 'prefix' as const, value: '/silent' } }
  world = await startWorld({ app: [backend.port], silent: [silent.port], gone: [await closedPort()], ws: [] }, [
    { matches: [{ path }], backends: [to('silent')] },
    { matches: [{ path: { kind: { case: 'prefix', value: '/gone' } } }], backends: [to('gone')] },
    { name: 'other', backends: [to('app', 1, l7.Protocol.HTTP)] },
  ])
})

afterEach(async () => {
  await world.waypoint.close()
  backend.close()
  silent.close()
})

const send = (lines: readonly string[], body = '') =>
  raw(world.port, Buffer.from(`${[...lines, 'Connection: close', '', ''].join('\r\n')}${body}`, 'latin1'), 5_000)
const get = 'GET / HTTP/1.1'
const post = 'POST / HTTP/1.1'

describe('refused, with the connection, before a backend sees it', () => {
  test.each<[what: string, lines: readonly string[], body?: string, status?: number]>([
    ['a list of codings', [post, 'Host: h', 'Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'],
    ['chunked that is not last', [post, 'Host: h', 'Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
    ['an empty first coding', [post, 'Host: h', 'Transfer-Encoding: , chunked'], '0\r\n\r\n'],
    ['an empty last coding', [post, 'Host: h', 'Transfer-Encoding: chunked,'], '0\r\n\r\n'],
    ['codings on two lines', [post, 'Host: h', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['chunked twice', [post, 'Host: h', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['a coding with a parameter', [post, 'Host: h', 'Transfer-Encoding: chunked;a=b'], '0\r\n\r\n'],
    ['a coding with a vertical tab', [post, 'Host: h', 'Transfer-Encoding: \x0bchunked'], '0\r\n\r\n'],
    ['no coding', [post, 'Host: h', 'Transfer-Encoding:'], '0\r\n\r\n'],
    ['identity', [post, 'Host: h', 'Transfer-Encoding: identity'], '0\r\n\r\n'],
    ['chunks in HTTP/1.0', ['POST / HTTP/1.0', 'Host: h', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['Content_Length', [post, 'Host: h', 'Content_Length: 5']],
    ['Transfer_Encoding', [post, 'Host: h', 'Transfer_Encoding: chunked']],
    ['X_Forwarded_For', [get, 'Host: h', 'X_Forwarded_For: 1.1.1.1']],
    ['X-Forwarded_Client-Cert', [get, 'Host: h', 'X-Forwarded_Client-Cert: Subject=x']],
    ['x_real_ip', [get, 'Host: h', 'x_real_ip: 1.1.1.1']],
    ['a URI of another scheme', ['GET ftp://h/ HTTP/1.1', 'Host: h']],
    ['a URI without a host', ['GET http:///x HTTP/1.1', 'Host: h']],
    ['a URI with another host', ['GET http://other/ HTTP/1.1', 'Host: h']],
    ['a URI with another port', ['GET http://h:81/ HTTP/1.1', 'Host: h']],
    ['a URI with a user', ['GET http://u@h/ HTTP/1.1', 'Host: h']],
    ['an authority', ['GET h:80 HTTP/1.1', 'Host: h']],
    ['a query alone', ['GET ?a HTTP/1.1', 'Host: h']],
    ['GET *', ['GET * HTTP/1.1', 'Host: h']],
    ['TRACE with content', ['TRACE / HTTP/1.1', 'Host: h', 'Content-Length: 1'], 'a'],
    ['a NUL', ['GET /\0 HTTP/1.1', 'Host: h']],
    ['a long method', [`${'A'.repeat(5_000)} / HTTP/1.1`, 'Host: h']],
    ['another expectation', [post, 'Host: h', 'Expect: wonders', 'Content-Length: 1'], 'a', 417],
    ['one expectation too many', [post, 'Host: h', 'Expect: 100-continue, wonders', 'Content-Length: 1'], 'a', 417],
    ['another version', ['GET / HTTP/2.0', 'Host: h'], '', 505],
    ['two equal lengths', [post, 'Host: h', 'Content-Length: 1', 'Content-Length: 1'], 'a'],
    ['a length in hexadecimal', [post, 'Host: h', 'Content-Length: 0x1'], 'a'],
    ['a size in hexadecimal twice', [post, 'Host: h', 'Transfer-Encoding: chunked'], '0x1\r\na\r\n0\r\n\r\n'],
    ['a space behind a size', [post, 'Host: h', 'Transfer-Encoding: chunked'], '1 \r\na\r\n0\r\n\r\n'],
    ['a LF behind a size', [post, 'Host: h', 'Transfer-Encoding: chunked'], '1\na\r\n0\r\n\r\n'],
    ['a LF in an extension', [post, 'Host: h', 'Transfer-Encoding: chunked'], '1;\nab\r\na\r\n0\r\n\r\n'],
    ['long extensions', [post, 'Host: h', 'Transfer-Encoding: chunked'], `1;${'a'.repeat(20_000)}\r\na\r\n`, 413],
    ['many headers', [get, 'Host: h', ...Array<string>(1_100).fill('A: b')], '', 431],
  ])('%s', async (_what, lines, body = '', status = 400) => {
    const answer = await send(lines, `${body}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status}`))
    expect(answer.toLowerCase()).toContain('connection: close')
    expect(answer.match(/^HTTP/gm)).toHaveLength(1)
    expect(seen).toBe('')
  })

  test('they are counted', async () => {
    await send([post, 'Host: h', 'Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')
    await send([get, 'Host: h', 'Content_Length: 5'])
    expect(await world.metrics.registry.metrics()).toContain('wishbone_refused_total{reason="bad-request"} 2')
  })
})

describe('passed on', () => {
  test.each([
    ['chunked in capitals', [post, 'Host: h', 'Transfer-Encoding: \tChunked '], '0\r\n\r\n', /^content-length: 0/m],
    [
      'other names with underscores',
      [get, 'Host: h', 'api_key: a', 'x_request_id: b'],
      '',
      /^api_key: a\r\nx_request_id: b/m,
    ],
    ['TRACE', ['TRACE / HTTP/1.1', 'Host: h'], '', /^TRACE \//],
    ['a URI, as a path', ['GET http://other/x HTTP/1.1', 'Host: Other'], '', /^GET \/x HTTP\/1.1\r\nhost: other\r\n/],
    ['a URI of HTTP/1.0', ['GET http://other/x HTTP/1.0'], '', /^GET \/x HTTP\/1.1\r\nhost: other\r\n/],
    [
      'an extension of a chunk, without it',
      [post, 'Host: h', 'Transfer-Encoding: chunked'],
      '1;a=b\r\nc\r\n0\r\n\r\n',
      /\r\n\r\n(?:c|1\r\nc\r\n0\r\n\r\n)$/,
    ],
  ] as const)('%s', async (_what, lines, body, expected) => {
    expect(await send(lines, body)).toMatch(/^HTTP\/1.1 200/)
    expect(seen).toMatch(expected)
  })

  test('what Connection names, unless the proxy or the backend relies on it', async () => {
    const named = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Real-IP', 'Authorization', 'Cookie', 'Forwarded', 'Host']
    await send([
      get,
      'Host: h',
      ...named.slice(0, -1).map((name) => `${name}: 1.1.1.1`),
      'X-Own: 1',
      `Connection: ${[...named, 'X-Own'].join(', ')}`,
    ])
    for (const name of named) expect(seen.toLowerCase()).toContain(`\r\n${name.toLowerCase()}: `)
    expect(seen).toContain('X-Forwarded-For: 1.1.1.1,127.0.0.1')
    expect(seen.toLowerCase()).not.toContain('x-own')
  })
})

describe('Upgrade', () => {
  const asking = (method: string, ...lines: readonly string[]) =>
    raw(world.port, `${[`${method} / HTTP/1.1`, 'Host: h', ...lines, '', ''].join('\r\n')}nonsense\r\n`, 5_000)

  test.each([['websocket'], ['WebSocket'], ['h2c, websocket'], ['websocket, TLS/1.0']])(
    '%s asks the backend for WebSocket, and nothing else',
    async (protocols) => {
      await asking('GET', 'Connection: Upgrade', `Upgrade: ${protocols}`)
      expect(seen).toMatch(/^connection: Upgrade\r\nupgrade: websocket\r\n/m)
      expect(seen.match(/upgrade:/gi)).toHaveLength(1)
    },
  )

  test.each([
    ['another protocol', 'GET', ['Connection: Upgrade', 'Upgrade: TLS/1.0']],
    ['h2c', 'GET', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']],
    ['a version of it', 'GET', ['Connection: Upgrade', 'Upgrade: websocket/14']],
    ['a HEAD', 'HEAD', ['Connection: Upgrade', 'Upgrade: websocket']],
    ['a POST', 'POST', ['Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 0']],
    ['no Connection', 'GET', ['Upgrade: websocket']],
  ])('%s is a plain request', async (_what, method, lines) => {
    expect(await asking(method, ...lines)).toMatch(/^HTTP\/1.1 200/)
    expect(seen).toMatch(new RegExp(`^${method} /`))
    expect(seen).not.toMatch(/upgrade|http2-settings/i)
  })

  test('HTTP/1.0 has none', async () => {
    await raw(world.port, 'GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(seen).toMatch(/^GET \//)
    expect(seen).not.toMatch(/upgrade/i)
  })
})

describe('a client that goes away', () => {
  const whenever: readonly (readonly [what: string, bytes: string])[] = [
    ['in a head', 'GET / HTTP/1.1\r\nHost'],
    ['in a small body', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc'],
    ['in a large body', `POST /silent HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n${'a'.repeat(100_000)}`],
    ['in chunks', 'POST /silent HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'],
    [
      'before trailers',
      'POST /silent HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\n',
    ],
    [
      'before it sends what it was not asked for',
      'POST /silent HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
    ],
    ['before its answer', 'GET /silent HTTP/1.1\r\nHost: h\r\n\r\n'],
    [
      'before an answer to its upgrade',
      'GET /silent HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
  ]
  const ways: readonly (readonly [string, (socket: net.Socket) => void, number])[] = [
    ['with a reset', (socket) => void socket.resetAndDestroy(), 30],
    ['with a reset, at once', (socket) => void socket.resetAndDestroy(), 0],
    ['with an end', (socket) => void socket.end(), 30],
    ['with an end, at once', (socket) => void socket.end(), 0],
  ]
  test.each(whenever.flatMap(([what, bytes]) => ways.map(([how, leave, ms]) => ({ what, how, bytes, leave, ms }))))(
    '$what, $how, is no error',
    async ({ bytes, leave, ms }) => {
      const socket = net.connect(world.port, '127.0.0.1')
      socket.on('error', () => {})
      await new Promise((resolve) => socket.write(bytes, resolve))
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
      leave(socket)
      await new Promise((resolve) => setTimeout(resolve, 60))
      const loud = world.log.filter((text) => /\t(?:warn|error)\t|stack/.test(text))
      expect(loud).toEqual([])
      for (const { flags, reason } of world.accessLog) expect([flags, reason]).toEqual(['DC', 'client-closed'])
      expect((await ask(world.port)).status).toBe(200)
      socket.destroy()
    },
  )
})

test('a connection that does not come about leaves no body behind that could end the process', async () => {
  const bytes = 'POST /gone HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n'
  await raw(world.port, bytes, 50)
  await raw(world.port, `${bytes}nonsense\r\n`, 50)
  expect((await ask(world.port)).status).toBe(200)
})

test.each([
  ['the client', 'DC'],
  ['the backend', 'UC'],
])('a WebSocket that %s resets is logged as its', async (who, flags) => {
  let behind: net.Socket | undefined
  const upgrading = await tcpBackend((socket) => {
    behind = socket
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    )
  })
  world.addEndpoint('ws', upgrading.port)
  await world.setRoutes([{ backends: [to('ws')] }])
  const socket = net.connect(world.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await once(socket, 'data')
  if (who === 'the client') socket.resetAndDestroy()
  else behind!.resetAndDestroy()
  await expect.poll(() => world.accessLog).toMatchObject([{ status: 101, flags }])
  upgrading.close()
})
