// Trailers of requests, which few expect, and input that none should send: what backends get to see of them.
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { l7 } from '@wishbone/proto'
import { afterEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, echo, http2Backend, httpBackend, raw } from './servers.ts'

let world: World | undefined
const open: { close: () => void }[] = []

afterEach(async () => {
  await world?.waypoint.close()
  world = undefined
  for (const one of open.splice(0)) one.close()
})

async function portFor(backend: Backend, protocol: l7.Protocol): Promise<number> {
  open.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app', 1, protocol)] }])
  return world.port
}

interface Got {
  readonly body: string
  readonly trailers: Record<string, unknown>
}

function http1Receiver(got: (got: Got) => void): Promise<Backend> {
  return httpBackend((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      got({ body, trailers: { ...request.trailers } })
      response.writeHead(200, { trailer: 'x-back' })
      response.write('ok')
      response.addTrailers({ 'x-back': 'b' })
      response.end()
    })
  })
}

function http2Receiver(got: (got: Got) => void): Promise<Backend> {
  return http2Backend((stream) => {
    let body = ''
    let trailers: Record<string, unknown> = {}
    stream.on('data', (chunk) => {
      body += chunk
    })
    stream.on('trailers', (fields) => {
      trailers = Object.fromEntries(Object.entries(fields))
    })
    stream.on('end', () => {
      got({ body, trailers })
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-back': 'b' }))
      stream.end('ok')
    })
  })
}

const sent = { 'x-sum': '42', authorization: 'Bearer forged', 'x-forwarded-for': '1.2.3.4' }

function sendHttp1(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const request = http.request({ port, host: '127.0.0.1', method: 'POST', headers: { trailer: 'X-Sum' }, agent: false })
  request.on('response', (response) => {
    response.resume()
    response.on('end', () => resolve(`${response.statusCode} ${response.trailers['x-back']}`))
  })
  request.on('error', reject)
  request.write('body')
  request.addTrailers(sent)
  request.end()
  return promise
}

function sendHttp2(port: number): Promise<string> {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  open.push({ close: () => session.destroy() })
  const stream = session.request({ ':method': 'POST', ':path': '/', trailer: 'x-sum' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(sent))
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let status: number | undefined
  let back: unknown
  stream.on('response', (headers) => {
    status = headers[':status']
  })
  stream.on('trailers', (fields) => {
    back = fields['x-back']
  })
  stream.resume()
  stream.on('error', reject)
  stream.on('close', () => resolve(`${status} ${back}`))
  stream.end('body')
  return promise
}

describe('trailers of a request', () => {
  test.each([
    ['HTTP/1.1', 'HTTP/1.1', sendHttp1, http1Receiver, l7.Protocol.HTTP],
    ['HTTP/1.1', 'HTTP/2', sendHttp1, http2Receiver, l7.Protocol.HTTP2],
    ['HTTP/2', 'HTTP/1.1', sendHttp2, http1Receiver, l7.Protocol.HTTP],
    ['HTTP/2', 'HTTP/2', sendHttp2, http2Receiver, l7.Protocol.HTTP2],
  ])('get from %s to %s, but for those that mean something else', async (_from, _to, send, receiver, protocol) => {
    const received: Got[] = []
    const port = await portFor(await receiver((got) => received.push(got)), protocol)
    expect(await send(port)).toBe('200 b')
    expect(received).toEqual([{ body: 'body', trailers: { 'x-sum': '42' } }])
  })

  test('a body without any ends as always', async () => {
    const received: Got[] = []
    const port = await portFor(await http2Receiver((got) => received.push(got)), l7.Protocol.HTTP2)
    const text = await raw(
      port,
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    )
    expect(text).toMatch(/^HTTP\/1.1 200/)
    expect(received).toEqual([{ body: 'body', trailers: {} }])
  })
})

describe('smuggling', () => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n'
  const backendSees = async (bytes: string) => {
    const seen: string[] = []
    const port = await portFor(
      await httpBackend((request, response) => {
        seen.push(request.url ?? '')
        request.resume()
        request.on('end', () => response.end('ok'))
      }),
      l7.Protocol.HTTP,
    )
    return { answer: await raw(port, bytes, 500), seen }
  }

  test.each([
    [
      'a length and chunks',
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'two lengths',
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    ],
    ['a bare LF', `POST / HTTP/1.1\r\nHost: h\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a folded header', `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    [
      'a space before the colon',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'chunked that is not last',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
  ])('%s is refused before a backend sees it', async (_what, bytes) => {
    const { answer, seen } = await backendSees(bytes)
    expect(answer).toMatch(/^HTTP\/1.1 400/)
    expect(answer.match(/HTTP\/1.1 /g)).toHaveLength(1)
    expect(seen).toEqual([])
    expect(world?.log.join('')).toContain('a connection is closed: bad request')
  })

  test('an upgrade with a body is a plain request', async () => {
    const { seen } = await backendSees(
      `POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    )
    expect(seen).toEqual(['/'])
  })

  test('CONNECT is answered, and logged', async () => {
    const { answer, seen } = await backendSees('CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1.1 405/)
    expect(seen).toEqual([])
    expect(world?.log.join('')).toContain('CONNECT is not for this port')
  })

  test('line ends in an HTTP/2 header do not reach a backend', async () => {
    const port = await portFor(await echo('app'), l7.Protocol.HTTP)
    const body = await new Promise<string>((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
      })
      setTimeout(() => {
        socket.destroy()
        resolve(text)
      }, 300)
      const field = (name: string, value: string) =>
        Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])
      const block = Buffer.concat([
        field(':method', 'GET'),
        field(':scheme', 'http'),
        field(':path', '/'),
        field(':authority', 'h'),
        field('x-bad', 'a\r\nX-Injected: b'),
      ])
      socket.write(
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
          Buffer.from([0, 0, block.length, 1, 5, 0, 0, 0, 1]),
          block,
        ]),
      )
    })
    expect(body.toLowerCase()).not.toContain('x-injected')
  })
})

describe('requests that node lets through', () => {
  const one = async (bytes: string) => {
    const port = await portFor(await echo('app'), l7.Protocol.HTTP)
    return raw(port, bytes, 500)
  }
  test.each([
    ['a fragment', 'GET /admin#x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'],
    ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['half an address as Host', 'GET / HTTP/1.1\r\nHost: [::\r\nConnection: close\r\n\r\n'],
    ['half an address as authority', 'GET http://[::1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'],
    ['an upgrade without Host', 'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ])('%s is answered with 400', async (_what, bytes) => {
    expect(await one(bytes)).toMatch(/^HTTP\/1.1 400/)
    await expect.poll(() => world?.accessLog[0]).toMatchObject({ status: 400, reason: 'bad-request' })
    expect(world?.accessLog[0]).not.toHaveProperty('tries')
  })

  test('an HTTP/2 path with a fragment too', async () => {
    const port = await portFor(await echo('app'), l7.Protocol.HTTP)
    const session = http2.connect(`http://127.0.0.1:${port}`)
    open.push({ close: () => session.destroy() })
    const stream = session.request({ ':path': '/admin#x' })
    expect(await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))).toBe(400)
  })

  test('an upgrade behind a request that is not answered yet has its turn', async () => {
    const port = await portFor(
      await httpBackend((request, response) => setTimeout(() => response.end(`seen ${request.url}`), 100)),
      l7.Protocol.HTTP,
    )
    const answer = await raw(
      port,
      'GET /first HTTP/1.1\r\nHost: h\r\n\r\nGET /second HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      1_000,
    )
    expect(answer).toMatch(/seen \/first[\s\S]*HTTP\/1.1 200[\s\S]*seen \/second/)
    expect(await raw(port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1.1 200/)
  })
})
