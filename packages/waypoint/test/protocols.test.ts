// What HTTP can do through the proxy: upgrades, trailers, gRPC, h2c, 1xx, bodies of any size, malformed input.
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { l7 } from '@wishbone/proto'
import { afterEach, expect, test } from 'vitest'
import { defaultLimits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, echo, http2Backend, httpBackend, raw, tcpBackend } from './servers.ts'

let world: World | undefined
const open: { close: () => void }[] = []

afterEach(async () => {
  await world?.waypoint.close()
  world = undefined
  for (const one of open.splice(0)) one.close()
})

function keep<T extends { close: () => void }>(one: T): T {
  open.push(one)
  return one
}

async function worldFor(backend: Backend, protocol: l7.Protocol = l7.Protocol.HTTP, more: object = {}): Promise<World> {
  world = await startWorld({ app: [keep(backend).port] }, [{ backends: [to('app', 1, protocol)], ...more }])
  return world
}

test('HTTPRouteBackendProtocolWebSocket: bytes both ways after the upgrade', async () => {
  const server = await httpBackend((_request, response) => response.end())
  const upgrading = http.createServer()
  upgrading.on('upgrade', (request, socket) => {
    const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}x`).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Origin: ${request.headers.origin}\r\nSec-WebSocket-Accept: ${key}\r\n\r\nfirst`,
    )
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end('bye'))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => upgrading.listen(0, '127.0.0.1', resolve))
  keep(server)
  const backend = { port: (upgrading.address() as net.AddressInfo).port, close: () => void upgrading.close() }
  const { port, accessLog } = await worldFor(backend)
  const { promise, resolve, reject } = Promise.withResolvers<[http.IncomingMessage, net.Socket, Buffer]>()
  http
    .request({
      port,
      host: '127.0.0.1',
      path: '/ws',
      headers: { connection: 'Upgrade', upgrade: 'websocket', origin: 'http://o', 'sec-websocket-key': 'k' },
    })
    .on('upgrade', (response, socket, head) => resolve([response, socket as net.Socket, head]))
    .on('response', (response) => reject(new Error(`status ${response.statusCode}`)))
    .on('error', reject)
    .end()
  const [response, socket, head] = await promise
  expect(response.headers).toMatchObject({ upgrade: 'websocket', 'x-origin': 'http://o' })
  let text = head.toString()
  socket.on('data', (chunk: Buffer) => {
    text += chunk
  })
  socket.write('hello')
  await expect.poll(() => text).toBe('firstHELLO')
  socket.end()
  await expect.poll(() => text).toBe('firstHELLObye')
  await expect.poll(() => accessLog).toMatchObject([{ status: 101, path: '/ws' }])
})

test('a refused upgrade is an ordinary response', async () => {
  const { port } = await worldFor(await echo('app'))
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  http
    .request({ port, host: '127.0.0.1', path: '/ws', headers: { connection: 'Upgrade', upgrade: 'websocket' } })
    .on('response', (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    .end()
  expect(await promise).toBe(200)
})

test('an h2c upgrade offer is ignored', async () => {
  const { port } = await worldFor(await echo('app'))
  const answer = await ask(port, {
    headers: { host: 'h', connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' },
  })
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.body).headers).not.toHaveProperty('http2-settings')
})

function grpcCall(port: number, path: string, body: Buffer, headers: http2.OutgoingHttpHeaders = {}) {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  keep({ close: () => session.destroy() })
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  const result = { headers: {} as http2.IncomingHttpHeaders, trailers: {} as http2.IncomingHttpHeaders, body: '' }
  const { promise, resolve, reject } = Promise.withResolvers<typeof result>()
  stream.on('response', (fields) => {
    result.headers = fields
  })
  stream.on('trailers', (fields) => {
    result.trailers = fields
  })
  stream.on('data', (chunk: Buffer) => {
    result.body += chunk
  })
  stream.on('close', () => resolve(result))
  stream.on('error', reject)
  if (body.length > 0) stream.end(body)
  return { stream, done: promise }
}

test('GRPCExactMethodMatching: h2 on both sides, trailers, streaming, UNIMPLEMENTED without a match', async () => {
  const backend = await http2Backend((stream, headers) => {
    expect(headers.te).toBe('trailers')
    if (headers[':path'] === '/echo.Echo/TrailersOnly')
      return void stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }))
    stream.on('data', (chunk: Buffer) => stream.write(`<${chunk}>`))
    stream.on('end', () => stream.end())
  })
  const { port, accessLog } = await worldFor(backend, l7.Protocol.HTTP, {
    grpc: true,
    matches: [{ path: { kind: { case: 'prefix', value: '/echo.Echo' } } }],
  })
  const unary = await grpcCall(port, '/echo.Echo/Unary', Buffer.from('ping')).done
  expect(unary).toMatchObject({ body: '<ping>', trailers: { 'grpc-status': '0', 'grpc-message': 'fine' } })
  const streaming = grpcCall(port, '/echo.Echo/Stream', Buffer.alloc(0))
  let seen = ''
  streaming.stream.on('data', (chunk) => {
    seen += chunk
  })
  for (const word of ['a', 'b', 'c']) {
    streaming.stream.write(word)
    await expect.poll(() => seen.endsWith(`<${word}>`)).toBe(true)
  }
  streaming.stream.end()
  expect((await streaming.done).trailers['grpc-status']).toBe('0')
  const only = await grpcCall(port, '/echo.Echo/TrailersOnly', Buffer.from('x')).done
  expect(only.headers['grpc-status']).toBe('5')
  const missing = await grpcCall(port, '/other.Service/Call', Buffer.from('x')).done
  expect(missing.headers).toMatchObject({ ':status': 200, 'grpc-status': '12' })
  await expect.poll(() => accessLog.map((line) => line.grpc_status)).toEqual(['0', '0', '5', '12'])
})

test('HTTPRouteBackendProtocolH2C: prior knowledge on the same port, HTTP/1.1 behind and h2c behind', async () => {
  const { port, setRoutes, addEndpoint, state } = await worldFor(await echo('app'))
  const get = async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    keep({ close: () => session.destroy() })
    const stream = session.request({ ':path': '/x?y', ':authority': 'Some_Host:1' })
    let body = ''
    stream.on('data', (chunk) => {
      body += chunk
    })
    const [headers] = await Promise.all([
      new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('response', resolve)),
      new Promise((resolve) => stream.on('end', resolve)),
    ])
    return { status: headers[':status'], body }
  }
  const first = await get()
  expect(JSON.parse(first.body)).toMatchObject({ url: '/x?y', headers: { host: 'Some_Host:1' } })
  const h2 = keep(
    await http2Backend((stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(`${headers[':path']} ${headers[':authority']}`)
    }),
  )
  expect(state.serviceByName('shop/app.shop.svc.cluster.local')).toBeDefined()
  state.apply({ addresses: [], removed: ['Kubernetes//Pod/shop/app-0'] })
  addEndpoint('app', h2.port)
  await setRoutes([{ backends: [to('app', 1, l7.Protocol.HTTP2)] }])
  expect(await get()).toEqual({ status: 200, body: '/x?y Some_Host:1' })
  expect((await ask(port, { path: '/one', headers: { host: 'one' } })).body).toBe('/one one')
})

test('trailers and early hints', async () => {
  const backend = await httpBackend((request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' })
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { trailer: 'x-sum' })
      response.write('body')
      response.addTrailers({ 'x-sum': '42' })
      response.end()
    })
  })
  const { port } = await worldFor(backend)
  const answer = await ask(port, { method: 'POST', body: 'data', headers: { host: 'h', 'content-length': 4 } })
  expect(answer).toMatchObject({ status: 200, body: 'body', trailers: { 'x-sum': '42' }, informational: [103] })
})

test('a body that the client holds back is asked for by the backend alone', async () => {
  const answer: http.RequestListener = (request, response) => {
    request.resume()
    request.on('end', () => response.end(`expect: ${request.headers.expect}`))
  }
  const backend = await httpBackend(answer, (request, response) => {
    if (request.url === '/refused') response.writeHead(401).end('no')
    else if (request.url === '/lost') request.socket.destroy()
    else {
      response.writeContinue()
      answer(request, response)
    }
  })
  const { port } = await worldFor(backend)
  const head = (path: string) => `POST ${path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`
  expect(await raw(port, `${head('/')}data`, 300)).toMatch(
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*expect: 100-continue/,
  )
  // Without a 100 the connection can't be used again: nobody knows whether a body follows.
  expect(await raw(port, head('/refused'), 300)).toMatch(/^HTTP\/1\.1 401 [\s\S]*connection: close\r\n[\s\S]*no\r\n/i)
  expect(await raw(port, head('/lost'), 300)).toMatch(/^HTTP\/1\.1 50[23] /)
  const nonsense = 'POST /none HTTP/1.1\r\nHost: h\r\nExpect: nonsense\r\nContent-Length: 0\r\n\r\n'
  expect(await raw(port, nonsense, 300)).toMatch(/^HTTP\/1\.1 (?:417|200)/)
})

test('a client that waits for the backend’s word, or talks with it, does not stall', async () => {
  const backend = await httpBackend(
    (request, response) => {
      response.write('first')
      request.on('data', (chunk: Buffer) => response.write(chunk))
      request.on('end', () => response.end())
    },
    (_request, response) => void setTimeout(() => response.writeHead(401).end('no'), 700),
  )
  world = await startWorld({ app: [keep(backend).port] }, [{ backends: [to('app')] }], {
    limits: { ...defaultLimits, stallTimeoutMs: 200 },
  })
  const { port } = world
  const head = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n'
  expect(await raw(port, `${head}Expect: 100-continue\r\n\r\n`, 1_500)).toMatch(/^HTTP\/1\.1 401 /)
  const socket = net.connect(port, '127.0.0.1')
  keep({ close: () => socket.destroy() })
  let heard = ''
  socket.on('data', (data) => {
    heard += data.toString()
  })
  socket.write(`${head}\r\n3\r\none\r\n`)
  await expect.poll(() => heard).toContain('first')
  await new Promise((resolve) => setTimeout(resolve, 700))
  socket.write('4\r\nlast\r\n0\r\n\r\n')
  await expect.poll(() => heard).toContain('last')
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of buffers that somebody still has, without what is garbage already. */
function heldBytes(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

test('bodies stream in constant memory with a slow reader on either side', async () => {
  const total = 192 << 20
  const piece = randomBytes(1 << 20)
  const upload = Promise.withResolvers<number>()
  const backend = await httpBackend((request, response) => {
    if (request.method === 'GET') {
      let left = total
      const source = new Readable({
        read() {
          left -= piece.length
          this.push(piece)
          if (left <= 0) this.push(null)
        },
      })
      source.pipe(response)
      return
    }
    let received = 0
    request.on('data', (chunk: Buffer) => {
      received += chunk.length
      request.pause()
      setImmediate(() => request.resume())
    })
    request.on('end', () => {
      upload.resolve(received)
      response.end(String(received))
    })
  })
  const { port } = await worldFor(backend)
  const before = heldBytes()
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, heldBytes() - before)
  }, 50)
  const download = await new Promise<number>((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      let received = 0
      response.on('data', (chunk: Buffer) => {
        received += chunk.length
        if (received % (8 << 20) < chunk.length) {
          response.pause()
          setTimeout(() => response.resume(), 5)
        }
      })
      response.on('end', () => resolve(received))
      response.on('error', reject)
    })
  })
  expect(download).toBe(total)
  const request = http.request({ port, host: '127.0.0.1', method: 'PUT', agent: false })
  request.on('error', () => {})
  for (let sent = 0; sent < total; sent += piece.length)
    if (!request.write(piece)) await new Promise((resolve) => request.once('drain', resolve))
  request.end()
  expect(await upload.promise).toBe(total)
  clearInterval(watch)
  // Client, proxy and backend share this process, so this is above what the proxy alone may take.
  expect(peak).toBeLessThan(96 << 20)
}, 60_000)

test('malformed requests are answered with 400 and logged; the next connection is served', async () => {
  const { port, log } = await worldFor(await echo('app'))
  expect(await raw(port, 'GET / HTTP/1.1\r\nHost: h\r\nBad Header: 1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect(await raw(port, '\x00\x01\x02\x03garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect(await raw(port, `GET / HTTP/1.1\r\nHost: h\r\nX-Big: ${'a'.repeat(80_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 431 /,
  )
  expect(
    await raw(port, 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  ).toMatch(/^HTTP\/1\.1 400 /)
  expect(await raw(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is not a frame at all, not at all', 500)).not.toMatch(
    /HTTP\/1/,
  )
  expect(log.filter((line) => line.includes('a connection is closed')).length).toBeGreaterThanOrEqual(4)
  expect((await ask(port)).status).toBe(200)
})

test('a backend that breaks off: before the head 502, after it the client sees the break', async () => {
  const backend = await tcpBackend((socket) => {
    socket.once('data', (chunk) => {
      if (chunk.includes('/early')) return socket.destroy()
      if (chunk.includes('/nonsense')) return socket.end('this is no HTTP\r\n\r\n')
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      setTimeout(() => socket.destroy(), 20)
    })
  })
  const { port, accessLog } = await worldFor(backend)
  expect((await ask(port, { method: 'POST', path: '/early', headers: { host: 'h' } })).status).toBe(502)
  expect((await ask(port, { method: 'POST', path: '/nonsense', headers: { host: 'h' } })).status).toBe(502)
  await expect(ask(port, { path: '/late' })).rejects.toThrow()
  await expect
    .poll(() => accessLog.map((line) => line.reason))
    .toEqual(['backend-reset', 'backend-protocol', 'backend-reset'])
})

test('a client that goes away ends the request at the backend', async () => {
  const gone = Promise.withResolvers<void>()
  const backend = await httpBackend((_request, response) => void response.once('close', () => gone.resolve()))
  const { port, accessLog } = await worldFor(backend)
  const socket = net.connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  setTimeout(() => socket.destroy(), 50)
  await gone.promise
  await expect.poll(() => accessLog).toMatchObject([{ reason: 'client-closed', status: 0 }])
})
