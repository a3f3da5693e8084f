// Retries, timeouts, mirrors, drain, changing configuration, plugins.
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { l7 } from '@wishbone/proto'
import { afterEach, describe, expect, test } from 'vitest'
import { backend, hostname, seconds, startWorld, to, type World } from './harness.ts'
import { ask, type Backend, closedPort, echo, http2Backend, httpBackend, raw, tcpBackend } from './servers.ts'

let world: World | undefined
const open: Backend[] = []

afterEach(async () => {
  await world?.waypoint.close()
  world = undefined
  for (const one of open.splice(0)) one.close()
})

async function serve(handler: http.RequestListener): Promise<Backend> {
  const one = await httpBackend(handler)
  open.push(one)
  return one
}

test('HTTPRouteRetry: listed codes are tried again, others not, and a small body is sent anew', async () => {
  const bodies: string[] = []
  let failures = 0
  let status = 500
  const app = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      response.statusCode = failures-- > 0 ? status : 200
      response.end('answer')
    })
  })
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')], retry: { codes: [500], attempts: 3 } }])
  const cases = [
    [2, 500, 200, 3],
    [4, 500, 500, 4],
    [1, 503, 503, 1],
  ] as const
  for (const [fails, code, expected, tries] of cases) {
    failures = fails
    status = code
    bodies.length = 0
    const answer = await ask(world.port, {
      method: 'POST',
      body: 'x'.repeat(100),
      headers: { host: 'h', 'content-length': 100 },
    })
    expect([answer.status, bodies.length]).toEqual([expected, tries])
    expect(new Set(bodies)).toEqual(new Set(['x'.repeat(100)]))
  }
  failures = 1
  status = 500
  bodies.length = 0
  const chunked = await ask(world.port, {
    method: 'POST',
    body: 'y'.repeat(2000),
    headers: { host: 'h', 'transfer-encoding': 'chunked' },
  })
  expect([chunked.status, bodies]).toEqual([200, ['y'.repeat(2000), 'y'.repeat(2000)]])
})

test('a body that is too long to be kept is never sent twice', async () => {
  let tries = 0
  const app = await serve((request, response) => {
    tries++
    request.resume()
    request.on('end', () => {
      response.statusCode = 500
      response.end()
    })
  })
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')], retry: { codes: [500], attempts: 3 } }])
  const answer = await ask(world.port, {
    method: 'PUT',
    body: Buffer.alloc(1 << 20),
    headers: { host: 'h', 'transfer-encoding': 'chunked' },
  })
  expect([answer.status, tries]).toEqual([500, 1])
})

test('HTTPRouteRetryConnectionError: another endpoint takes over', async () => {
  const good = await echo('good')
  open.push(good)
  world = await startWorld({ app: [await closedPort(), good.port] }, [
    { backends: [to('app')], retry: { attempts: 100 } },
  ])
  for (let i = 0; i < 10; i++) expect((await ask(world.port)).status).toBe(200)
  await world.setRoutes([{ backends: [to('app')] }])
  for (let i = 0; i < 10; i++) expect((await ask(world.port, { method: 'POST', body: 'b' })).status).toBe(200)
})

test.each([
  ['HTTP/1.1', l7.Protocol.HTTP],
  ['HTTP/2', l7.Protocol.HTTP2],
])('another endpoint gets the whole of a body that streams (%s)', async (_version, protocol) => {
  const big = await new Promise<Backend>((resolve) => {
    const answer = (request: Readable, response: Writable) => {
      let bytes = 0
      request.on('data', (chunk: Buffer) => void (bytes += chunk.length))
      request.on('end', () => response.end(String(bytes)))
    }
    if (protocol === l7.Protocol.HTTP) void httpBackend(answer).then(resolve)
    else void http2Backend((stream) => answer(stream, stream)).then(resolve)
  })
  open.push(big)
  // Refused late: bytes come meanwhile.
  const late = await tcpBackend((socket) => setTimeout(() => socket.resetAndDestroy(), 50))
  open.push(late)
  const dead = protocol === l7.Protocol.HTTP ? await closedPort() : late.port
  world = await startWorld({ app: [dead, big.port] }, [{ backends: [to('app', 1, protocol)] }])
  const bytes = 300_000
  for (let i = 0; i < 10; i++)
    expect(await ask(world.port, { method: 'POST', body: Buffer.alloc(bytes) })).toMatchObject({
      status: 200,
      body: String(bytes),
    })
})

test('HTTPRouteTimeoutRequest and BackendRequest: 504, and 0 is no limit, nor is more than a timer takes', async () => {
  const app = await serve((request, response) => {
    setTimeout(() => response.end('late'), Number(/\d+/.exec(request.url!)?.[0] ?? 0))
  })
  world = await startWorld({ app: [app.port] }, [
    {
      matches: [{ path: { kind: { case: 'prefix', value: '/request' } } }],
      backends: [to('app')],
      timeouts: { request: seconds(100) },
    },
    {
      matches: [{ path: { kind: { case: 'prefix', value: '/backend' } } }],
      backends: [to('app')],
      timeouts: { backendRequest: seconds(100) },
    },
    {
      matches: [{ path: { kind: { case: 'prefix', value: '/off' } } }],
      backends: [to('app')],
      timeouts: { request: seconds(0) },
    },
    {
      matches: [{ path: { kind: { case: 'prefix', value: '/long' } } }],
      backends: [to('app')],
      timeouts: { request: seconds(1_000 * 3_600_000), backendRequest: seconds(1_000 * 3_600_000) },
    },
  ])
  expect((await ask(world.port, { path: '/request/1000' })).status).toBe(504)
  expect((await ask(world.port, { path: '/backend/1000' })).status).toBe(504)
  expect((await ask(world.port, { path: '/request/10' })).status).toBe(200)
  expect((await ask(world.port, { path: '/off/200' })).status).toBe(200)
  expect((await ask(world.port, { path: '/long/200' })).status).toBe(200)
})

test('a WebSocket that is not answered in time gets 504, and one that is declined without end is broken off', async () => {
  const taken: net.Socket[] = []
  const app = await tcpBackend((socket) => {
    taken.push(socket.resume())
    if (taken.length === 2) socket.write('HTTP/1.1 200 OK\r\n\r\npart')
    socket.on('end', () => socket.end())
  })
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')], timeouts: { request: seconds(200) } }])
  const upgrade = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  expect(await raw(world.port, upgrade)).toMatch(/^HTTP\/1.1 504 /)
  expect(await raw(world.port, upgrade)).toMatch(/^HTTP\/1.1 200 .*part\r\n$/s)
  await expect.poll(() => taken.every(({ destroyed }) => destroyed)).toBe(true)
  await expect
    .poll(() => world!.accessLog)
    .toMatchObject([
      { status: 504, reason: 'request-timeout' },
      { status: 200, reason: 'request-timeout' },
    ])
})

const limits = [
  ['request', 'request-timeout'],
  ['backendRequest', 'backend-timeout'],
] as const

describe.each(limits)('the time of a WebSocket’s handshake: %s', (limit, reason) => {
  const upgrade = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const timeouts = { [limit]: seconds(100) }

  test.each(['before', 'after'])('counts %s the connection is there', async (when) => {
    const taken: net.Socket[] = []
    const app = await tcpBackend((socket) => {
      taken.push(socket.resume())
      socket.on('end', () => socket.end())
    })
    open.push(app)
    const value = { namespace: 'shop', hostname: hostname('app'), port: 80 }
    const tls = when === 'before' ? { tls: { hostname: 'app.example', caPem: '' } } : {}
    const backend = { target: { case: 'service' as const, value: { ...value, ...tls } } }
    world = await startWorld({ app: [app.port] }, [{ backends: [{ weight: 1, backend }], timeouts }])
    expect(await raw(world.port, upgrade)).toMatch(/^HTTP\/1.1 504 /)
    await expect.poll(() => world!.accessLog).toMatchObject([{ status: 504, reason }])
    if (when === 'after') await expect.poll(() => taken.every(({ destroyed }) => destroyed)).toBe(true)
  })

  test('ends with the 101', async () => {
    const app = await tcpBackend((socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      setTimeout(() => socket.end('later'), 200)
    })
    open.push(app)
    world = await startWorld({ app: [app.port] }, [{ backends: [to('app')], timeouts }])
    expect(await raw(world.port, upgrade, 500)).toMatch(/^HTTP\/1.1 101 .*later$/s)
  })
})

test('HTTPRouteRetryWithRequestTimeout: the whole time counts over all tries', async () => {
  let tries = 0
  const app = await serve((_request, response) => {
    tries++
    setTimeout(() => {
      response.statusCode = 500
      response.end()
    }, 60)
  })
  world = await startWorld({ app: [app.port] }, [
    {
      backends: [to('app')],
      timeouts: { request: seconds(100) },
      retry: { codes: [500], attempts: 5, backoff: seconds(1) },
    },
  ])
  expect((await ask(world.port)).status).toBe(504)
  expect(tries).toBe(2)
})

test('HTTPRouteRequestMultipleMirrors and PercentageMirror: copies arrive with path, query and body; their answers do not matter', async () => {
  const seen: string[] = []
  const mirrorA = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      seen.push(`a ${request.url} ${body.length}`)
      response.statusCode = 500
      response.end()
    })
  })
  const mirrorB = await serve((request, response) => {
    seen.push(`b ${request.url}`)
    request.resume()
    response.end()
  })
  const app = await echo('app')
  open.push(app)
  world = await startWorld({ app: [app.port], a: [mirrorA.port], b: [mirrorB.port] }, [
    {
      filters: [
        { kind: { case: 'mirror', value: { backend: backend('a'), numerator: 1, denominator: 1 } } },
        { kind: { case: 'mirror', value: { backend: backend('b'), numerator: 1, denominator: 4 } } },
      ],
      backends: [to('app')],
    },
  ])
  for (let i = 0; i < 8; i++) expect((await ask(world.port, { path: `/m?${i}` })).status).toBe(200)
  const body = 'z'.repeat(100_000)
  const big = await ask(world.port, {
    method: 'PUT',
    path: '/big',
    body,
    headers: { host: 'h', 'content-length': body.length },
  })
  expect(JSON.parse(big.body).body.length).toBe(body.length)
  await expect
    .poll(() => seen.filter((line) => line.startsWith('a')).sort())
    .toEqual(['a /big 100000', ...Array.from({ length: 8 }, (_, i) => `a /m?${i} 0`)].sort())
  expect(seen.filter((line) => line.startsWith('b')).length).toBe(2)
})

test('drain: no new connections, open requests finish, HTTP/2 gets GOAWAY', async () => {
  let came = 0
  const app = await serve((_request, response) => {
    came++
    setTimeout(() => response.end('done'), 200)
  })
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }])
  const session = http2.connect(`http://127.0.0.1:${world.port}`)
  const goaway = new Promise<void>((resolve) => session.on('goaway', () => resolve()))
  session.on('error', () => {})
  const stream = session.request({ ':path': '/' })
  const agent = new http.Agent({ keepAlive: true })
  const one = ask(world.port, { agent })
  await expect.poll(() => came, { interval: 5 }).toBe(2)
  const drained = world.waypoint.drain(5_000)
  const [answer] = await Promise.all([one, goaway, new Promise((resolve) => stream.on('response', resolve)), drained])
  expect(answer).toMatchObject({ status: 200, body: 'done', headers: { connection: 'close' } })
  await expect(ask(world.port)).rejects.toThrow()
  agent.destroy()
})

test('drain: while clients may still come they are served, and told to go elsewhere', async () => {
  const app = await serve((_request, response) => void response.end('done'))
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }])
  const { port, waypoint } = world
  const session = http2.connect(`http://127.0.0.1:${port}`)
  const goaway = new Promise<void>((resolve) => session.on('goaway', () => resolve()))
  const overH2 = () =>
    new Promise((resolve, reject) =>
      session
        .request({ ':path': '/' })
        .on('response', ({ ':status': status }) => resolve(status))
        .on('error', reject)
        .resume(),
    )
  expect(await overH2()).toBe(200)
  let over = false
  const drained = waypoint.drain(10_000, 2_000).then(() => {
    over = true
  })
  expect(waypoint.pending()).not.toEqual([])
  const agent = new http.Agent({ keepAlive: true })
  expect(await ask(port, { agent })).toMatchObject({ status: 200, headers: { connection: 'close' } })
  expect(await overH2()).toBe(200)
  await goaway
  // As long as somebody comes, and a little longer.
  for (const began = Date.now(); Date.now() - began < 2_500; await new Promise((resolve) => setTimeout(resolve, 200)))
    expect(await ask(port)).toMatchObject({ status: 200 })
  expect(over).toBe(false)
  await drained
  await expect(ask(port)).rejects.toThrow()
  agent.destroy()
})

test('drain: where nobody came lately, it waits for half as long', async () => {
  world = await startWorld({ app: [1] }, [{ backends: [to('app')] }])
  const began = performance.now()
  await world.waypoint.drain(10_000, 5_000)
  expect(performance.now() - began).toBeLessThan(4_000)
})

test('drain: whose Gateway is gone waits for nobody', async () => {
  world = await startWorld({ app: [1] }, [{ backends: [to('app')] }])
  const began = performance.now()
  const drained = world.waypoint.drain(10_000, 8_000)
  // The controller may be later than the signal.
  world.store.apply('listeners', [], ['gateway/shop/gw/http'])
  await drained
  expect(performance.now() - began).toBeLessThan(2_000)
})

test('listeners and routes change without a restart or a broken connection', async () => {
  const app = await echo('app')
  open.push(app)
  world = await startWorld({ app: [app.port] }, [])
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  expect((await ask(world.port, { agent })).status).toBe(404)
  await world.setRoutes([{ backends: [to('app')] }])
  expect((await ask(world.port, { agent })).status).toBe(200)
  world.store.apply('listeners', [], ['gateway/shop/gw/http'])
  await world.waypoint.settled()
  expect((await ask(world.port, { agent })).status).toBe(404)
  await expect(ask(world.port)).rejects.toThrow()
  agent.destroy()
})

test('a plugin sees the match, changes headers and can answer by itself', async () => {
  const app = await echo('app')
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ name: 'HTTPRoute/shop/plugged/0', backends: [to('app')] }], {
    async plugins(fastify) {
      fastify.addHook('preHandler', async (request, reply) => {
        const { head, match, requestHeaders } = request.wishbone
        if (head.path === '/forbidden') return reply.code(401).send('who are you?')
        if (match.kind === 'match') requestHeaders.push('x-route', match.rule.name)
        request.wishbone.onResponse((_status, headers) => headers.push('x-plugin', request.url))
        return undefined
      })
    },
  })
  const answer = await ask(world.port, {
    path: '/x?y',
    method: 'POST',
    body: '{',
    headers: { host: 'h', 'content-type': 'application/json' },
  })
  expect(answer.headers['x-plugin']).toBe('/x?y')
  expect(JSON.parse(answer.body)).toMatchObject({ body: '{', headers: { 'x-route': 'HTTPRoute/shop/plugged/0' } })
  expect(await ask(world.port, { path: '/forbidden' })).toMatchObject({ status: 401, body: 'who are you?' })
  await expect.poll(() => world?.accessLog.map(({ status }) => status)).toEqual([200, 401])
})

test('a slow client is cut off without harm to others', async () => {
  const app = await tcpBackend((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  )
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }])
  const half = net.connect(world.port, '127.0.0.1')
  half.write('GET / HTTP/1.1\r\nHo')
  half.end()
  await new Promise((resolve) => half.once('close', resolve).resume())
  expect((await ask(world.port)).body).toBe('ok')
})

test('a request that breaks a new connection is not tried again, whatever others of the endpoint have answered', async () => {
  let connections = 0
  const app = await tcpBackend((socket) => {
    const count = ++connections
    socket.once('data', () => {
      if (count > 1) return void socket.destroy()
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
    })
  })
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }])
  expect(await ask(world.port)).toMatchObject({ status: 200 })
  expect(await ask(world.port)).toMatchObject({ status: 502 })
  expect(connections).toBe(2)
})

test('a request on a connection that had died meanwhile is tried again', async () => {
  let connections = 0
  const app = await tcpBackend((socket) => {
    const count = ++connections
    let requests = 0
    socket.on('data', () => {
      if (count === 1 && ++requests > 1) return void socket.destroy()
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }])
  expect(await ask(world.port)).toMatchObject({ status: 200 })
  expect(await ask(world.port)).toMatchObject({ status: 200 })
  expect(connections).toBe(2)
})

test('WebSockets count in the load of their endpoints', async () => {
  const sockets: net.Socket[] = []
  const serve = (name: string) =>
    tcpBackend((socket) =>
      socket.once('data', (bytes) => {
        const isUpgrade = String(bytes).includes('Upgrade')
        socket.write(
          isUpgrade
            ? 'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
            : `HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n${name}`,
        )
        if (!isUpgrade) socket.end()
      }),
    )
  const [busy, free] = [await serve('b'), await serve('f')]
  open.push(busy, free)
  world = await startWorld({ app: [busy.port] }, [{ backends: [to('app')] }], { random: () => 0.5 })
  for (let i = 0; i < 100; i++) {
    const socket = net.connect(world.port, '127.0.0.1')
    sockets.push(socket)
    socket.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await once(socket, 'data')
  }
  world.addEndpoint('app', free.port)
  expect(await ask(world.port)).toMatchObject({ body: 'f' })
  for (const socket of sockets) socket.destroy()
})
