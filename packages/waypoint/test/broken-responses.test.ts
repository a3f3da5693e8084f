// What backends send that is no HTTP, or means something else to clients than to the proxy: none of it gets to a client.
import http2 from 'node:http2'
import type net from 'node:net'
import { l7 } from '@wishbone/proto'
import { afterEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, http2Backend, httpBackend, raw, tcpBackend } from './servers.ts'

let world: World
const open: { close: () => void }[] = []

afterEach(async () => {
  await world.waypoint.close()
  for (const one of open.splice(0)) one.close()
})

async function portTo(backend: Backend, protocol: l7.Protocol = l7.Protocol.HTTP): Promise<number> {
  open.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app', 1, protocol)] }])
  return world.port
}

interface Sockets {
  readonly backend: Backend
  readonly sockets: net.Socket[]
  readonly requests: () => number
}

/** Answers each request with these bytes. */
async function answering(bytes: string | ((socket: net.Socket) => void)): Promise<Sockets> {
  const sockets: net.Socket[] = []
  let requests = 0
  const backend = await tcpBackend((socket) => {
    sockets.push(socket)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        text = text.slice(end + 4)
        requests++
        if (typeof bytes === 'string') socket.write(bytes)
        else bytes(socket)
      }
    })
    socket.on('end', () => socket.end())
  })
  return { backend, sockets, requests: () => requests }
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const line = (status: number | string, more = '') => `HTTP/1.1 ${status} Words\r\n${more}\r\n`

const brokenOnes: readonly (readonly [what: string, bytes: string])[] = [
  ['a 101 that nobody asked for', line(101, 'Connection: Upgrade\r\nUpgrade: websocket\r\n')],
  ['a 101 without a protocol', `${line(101)}${ok}`],
  ['status 000', `${line('000', 'Content-Length: 0\r\n')}${ok}`],
  ['status 099', `${line('099')}${ok}`],
  ['status 600', line(600, 'Content-Length: 0\r\n')],
  ['status 999', line(999, 'Content-Length: 0\r\n')],
  ['another coding', `${line(200, 'Transfer-Encoding: gzip, chunked\r\n')}0\r\n\r\n`],
  ['no coding at all', `${line(200, 'Transfer-Encoding: identity\r\n')}ok`],
  ['a length and chunks', `${line(200, 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n')}0\r\n\r\n`],
  ['two lengths', `${line(200, 'Content-Length: 2\r\nContent-Length: 3\r\n')}ok!`],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
  ['a control character', line(200, 'X: a\x01b\r\nContent-Length: 0\r\n')],
  ['interim responses without end', line(103, 'Link: </a>\r\n').repeat(500) + ok],
  ['interim responses that are long', line(103, `Link: <${'a'.repeat(20_000)}>\r\n`).repeat(10) + ok],
]

describe('to a request', () => {
  test.each(brokenOnes)('%s is answered with 502', async (_what, bytes) => {
    const { backend, sockets } = await answering(bytes)
    const port = await portTo(backend)
    const answer = await raw(port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n', 5_000)
    const statuses = [...answer.matchAll(/^HTTP\/1.1 (\d+)/gm)].map(([, status]) => Number(status))
    expect(statuses.at(-1)).toBe(502)
    expect(statuses.filter((status) => status !== 103)).toEqual([502])
    expect(statuses.length).toBeLessThanOrEqual(101)
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 502, flags: 'UPE', reason: 'backend-protocol' }])
    await expect.poll(() => sockets.every(({ readableEnded, destroyed }) => readableEnded || destroyed)).toBe(true)
  })

  test.each(brokenOnes)('%s is answered with 502 where the request asks first', async (_what, bytes) => {
    const { backend } = await answering(bytes)
    const port = await portTo(backend)
    const answer = await raw(
      port,
      'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
      5_000,
    )
    expect(answer).toMatch(/HTTP\/1.1 502/)
    expect(answer).not.toMatch(/HTTP\/1.1 (?!502|103)/)
  })

  test('it is not sent again because of it', async () => {
    const { backend, requests } = await answering(line(600, 'Content-Length: 0\r\n'))
    const port = await portTo(backend)
    for (let round = 1; round < 4; round++) {
      expect((await ask(port)).status).toBe(502)
      expect(requests()).toBe(round)
    }
  })
})

describe('to a WebSocket', () => {
  const upgrade = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  test.each<readonly [string, string]>([
    ['another protocol', line(101, 'Connection: Upgrade\r\nUpgrade: h2c\r\n')],
    ['two protocols', line(101, 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n')],
    ...brokenOnes.slice(1),
  ])('%s is answered with 502', async (_what, bytes) => {
    const { backend } = await answering(bytes)
    const port = await portTo(backend)
    const answer = await raw(port, upgrade, 5_000)
    expect(answer).toMatch(/^HTTP\/1.1 502/)
    expect(answer.match(/^HTTP/gm)).toHaveLength(1)
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 502 }])
  })
  test('content that is broken in one piece with its head is answered with 502', async () => {
    const { backend } = await answering(`${line(200, 'Transfer-Encoding: chunked\r\n')}none\r\n`)
    expect(await raw(await portTo(backend), upgrade)).toMatch(/^HTTP\/1.1 502/)
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 502, reason: 'backend-reset' }])
  })
})

describe('over HTTP/2', () => {
  test.each(['600', '999', '000', '101'])('status %s is answered with 502', async (status) => {
    const frame = (type: number, flags: number, stream: number, payload: Buffer) =>
      Buffer.concat([Buffer.of(0, 0, payload.length, type, flags, 0, 0, 0, stream), payload])
    // A literal header with the static table's name 8, ":status".
    const head = Buffer.concat([Buffer.of(8, 3), Buffer.from(status)])
    const backend = await tcpBackend((socket) => {
      socket.write(frame(4, 0, 0, Buffer.alloc(0)))
      setTimeout(() => socket.write(frame(1, 5, 1, head)), 50)
    })
    const port = await portTo(backend, l7.Protocol.HTTP2)
    expect((await ask(port)).status).toBe(502)
  })

  test('interim responses without end', async () => {
    const backend = await http2Backend((stream) => {
      stream.on('error', () => {})
      for (let count = 0; count < 300; count++) stream.additionalHeaders({ ':status': 103, link: '</a>' })
      stream.respond({ ':status': 200 }, { endStream: true })
    })
    const port = await portTo(backend, l7.Protocol.HTTP2)
    const { status, informational } = await ask(port)
    expect(status).toBe(502)
    expect(informational.length).toBeLessThanOrEqual(100)
  })
})

describe('responses without content', () => {
  const get = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'

  test.each([
    ['204 with a length', line(204, 'Content-Length: 7\r\n')],
    ['204 with a length and content', `${line(204, 'Content-Length: 7\r\n')}content`],
    ['204 with chunks', `${line(204, 'Transfer-Encoding: chunked\r\n')}2\r\nab\r\n0\r\n\r\n`],
    ['204 and more', `${line(204)}${ok}`],
    ['304 with a length', line(304, 'Content-Length: 7\r\n')],
    ['304 with a length and content', `${line(304, 'Content-Length: 7\r\n')}content`],
  ])('%s', async (_what, bytes) => {
    const { backend, sockets } = await answering(bytes)
    const port = await portTo(backend)
    for (let round = 1; round < 4; round++) {
      const answer = await raw(port, get)
      expect(answer).toMatch(/^HTTP\/1.1 (?:204 No Content|304 Not Modified)\r\n/)
      expect(answer).toMatch(/\r\n\r\n$/)
      expect(answer.toLowerCase()).not.toMatch(/content-length|chunked|\r\n\r\n./)
      // Nothing of it is taken for the answer to the next request.
      expect(sockets).toHaveLength(round)
    }
    expect(world.accessLog.map(({ flags }) => flags)).toEqual(['-', '-', '-'])
  })

  test('a 204 keeps its connection when it is sound', async () => {
    const { backend, sockets } = await answering(line(204, 'Content-Length: 0\r\n'))
    const port = await portTo(backend)
    for (let round = 1; round < 4; round++) {
      expect((await ask(port)).headers).not.toHaveProperty('content-length')
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    expect(sockets).toHaveLength(1)
  })

  test('a length in a 103', async () => {
    const { backend } = await answering(`${line(103, 'Content-Length: 7\r\nLink: </a>\r\n')}${ok}`)
    const answer = await raw(await portTo(backend), get)
    expect(answer).toMatch(/^HTTP\/1.1 103 Early Hints\r\nlink: <\/a>\r\n\r\nHTTP\/1.1 200/i)
  })

  test.each([204, 304])('%i with content, to and from HTTP/2', async (status) => {
    const { backend } = await answering(`${line(status, 'Content-Length: 7\r\n')}content`)
    const session = http2.connect(`http://127.0.0.1:${await portTo(backend)}`)
    open.push({ close: () => session.destroy() })
    const stream = session.request({ ':path': '/' })
    const { promise, resolve, reject } = Promise.withResolvers<http2.IncomingHttpHeaders>()
    let text = ''
    stream.on('data', (chunk) => {
      text += chunk
    })
    stream.on('error', reject)
    stream.on('response', (headers) => stream.on('end', () => resolve(headers)))
    const headers = await promise
    expect(headers[':status']).toBe(status)
    expect(headers).not.toHaveProperty('content-length')
    expect(text).toBe('')
  })
})

describe('a response that only the end of its connection ends', () => {
  const endless = `${line(200)}part`
  const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'
  const post = 'POST / HTTP/1.1\r\nHost: h\r\n'
  const requests: readonly (readonly [what: string, bytes: string])[] = [
    ['a request', get],
    ['a request that asks first', `${post}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n`],
    ['a request with trailers', `${post}Trailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-End: 1\r\n\r\n`],
    ['a WebSocket', get.replace('Host', 'Connection: Upgrade\r\nUpgrade: websocket\r\nHost')],
  ]

  test.each(requests)('to %s is whole when it ends in order', async (_what, bytes) => {
    const { backend } = await answering((socket) => void socket.end(endless))
    const answer = await raw(await portTo(backend), bytes.replace('Host', 'Connection: close\r\nHost'))
    expect(answer).toContain('part\r\n0\r\n')
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 200, flags: '-' }])
  })

  test.each(requests)('to %s is broken off when it is reset', async (_what, bytes) => {
    const { backend } = await answering((socket) => {
      socket.write(endless)
      setTimeout(() => socket.resetAndDestroy(), 50)
    })
    const answer = await raw(await portTo(backend), bytes)
    expect(answer).toContain('part')
    expect(answer).not.toContain('\r\n0\r\n')
    await expect.poll(() => world.accessLog).toMatchObject([{ status: 200, reason: 'backend-reset' }])
  })

  test('is broken off over HTTP/2 too', async () => {
    const { backend } = await answering((socket) => {
      socket.write(endless)
      setTimeout(() => socket.resetAndDestroy(), 50)
    })
    const session = http2.connect(`http://127.0.0.1:${await portTo(backend)}`)
    open.push({ close: () => session.destroy() })
    const stream = session.request({ ':path': '/' })
    stream.on('error', () => {})
    stream.resume()
    await expect.poll(() => stream.closed).toBe(true)
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR)
  })
})

test('bytes behind a response end its connection', async () => {
  const { backend, sockets } = await answering((socket) => {
    socket.write(ok)
    setTimeout(() => socket.write(`${line(200, 'Content-Length: 8\r\n')}poisoned`), 20)
  })
  const port = await portTo(backend)
  for (let round = 0; round < 3; round++) {
    expect((await ask(port)).body).toBe('ok')
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  expect(sockets).toHaveLength(3)
})

test('headers that Connection names stay behind', async () => {
  const { backend } = await answering(
    line(200, 'Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n'),
  )
  const { headers } = await ask(await portTo(backend))
  expect(headers).toMatchObject({ 'x-end': '2' })
  expect(headers).not.toHaveProperty('x-hop')
})

test('trailers that frame stay behind', async () => {
  const { backend } = await answering(
    `${line(200, 'Transfer-Encoding: chunked\r\nTrailer: X-End\r\n')}2\r\nok\r\n0\r\nX-End: 2\r\nContent_Length: 7\r\nSet-Cookie: a=b\r\nContent-Digest: x\r\n\r\n`,
  )
  const { body, trailers } = await ask(await portTo(backend))
  expect(body).toBe('ok')
  expect(trailers).toEqual({ 'x-end': '2', 'content-digest': 'x' })
})

test.each([
  ['set', { set: [{ name: 'Content-Length', value: '0' }] }],
  ['add', { add: [{ name: 'Transfer-Encoding', value: 'gzip' }] }],
  ['remove', { remove: ['content-length'] }],
])('filters cannot %s what frames a message', async (_what, value) => {
  const inner = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  const seen: string[] = []
  const backend = await httpBackend((request, response) => {
    seen.push(`${request.headers['content-length']} ${request.headers['transfer-encoding']}`)
    request.resume().once('end', () => response.setHeader('content-length', inner.length).end(inner))
  })
  open.push(backend)
  const filters = (['responseHeaders', 'requestHeaders'] as const).map((kind) => ({ kind: { case: kind, value } }))
  world = await startWorld({ app: [backend.port] }, [{ filters, backends: [to('app')] }])
  const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody'
  const [head, ...content] = (await raw(world.port, post)).split('\r\n\r\n')
  expect(head).toMatch(/^content-length: 42$/im)
  expect(head).not.toMatch(/transfer-encoding|content-length: 0/i)
  expect(content.join('\r\n\r\n')).toBe(inner)
  expect(seen).toEqual(['4 undefined'])
})
