// Requests that a client sends before it has the answers to earlier ones: they are served one after the other.
import { once } from 'node:events'
import type http from 'node:http'
import net from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { defaultLimits, type Limits } from '../src/server/limits.ts'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, httpBackend, raw } from './servers.ts'

let world: World
const open: { close: () => void }[] = []

afterEach(async () => {
  await world.waypoint.close()
  for (const one of open.splice(0)) one.close()
})

interface Served {
  readonly url: string
  readonly beside: number
}

async function portTo(backend: Backend, limits: Partial<Limits> = {}): Promise<number> {
  open.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app')] }], {
    limits: { ...defaultLimits, ...limits },
  })
  return world.port
}

/** Answers after a moment, and notes how many others were open at that time. */
async function slowBackend(served: Served[], ms = 20): Promise<Backend> {
  let running = 0
  return httpBackend((request, response) => {
    served.push({ url: request.url!, beside: running++ })
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () =>
      setTimeout(() => {
        running--
        response.end(`<${request.method} ${request.url} ${body}>`)
      }, ms),
    )
  })
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: h\r\n${more}\r\n`
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`
/** After which nothing is served. */
const bye = 'nonsense\r\n'
const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => Number(status))
const contents = (answer: string) => [...answer.matchAll(/<([^>]*)>/g)].map(([, content]) => content)

test('one at a time, in order, with their bodies', async () => {
  const served: Served[] = []
  const port = await portTo(await slowBackend(served))
  const answer = await raw(port, [post('/1', 'a'), post('/2', 'bb'), get('/3'), post('/4', 'd'), bye].join(''), 5_000)
  expect(contents(answer)).toEqual(['POST /1 a', 'POST /2 bb', 'GET /3 ', 'POST /4 d'])
  expect(served.map(({ beside }) => beside)).toEqual([0, 0, 0, 0])
})

test('a body that comes in pieces behind an open request', async () => {
  const served: Served[] = []
  const port = await portTo(await slowBackend(served, 100))
  const socket = net.connect(port, '127.0.0.1')
  open.push({ close: () => socket.destroy() })
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  const long = 'x'.repeat(300_000)
  socket.write(`${get('/1')}POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: ${long.length}\r\n\r\nx`)
  await new Promise((resolve) => setTimeout(resolve, 30))
  socket.write(`${long.slice(1)}${get('/3')}`)
  await expect.poll(() => contents(answer), { timeout: 3_000 }).toEqual(['GET /1 ', `POST /2 ${long}`, 'GET /3 '])
})

test('thousands in one write', async () => {
  const served: Served[] = []
  const port = await portTo(await slowBackend(served, 0))
  const all = Array.from({ length: 1_000 }, (_, index) =>
    get(`/${index}`, index === 999 ? 'Connection: close\r\n' : ''),
  )
  const answer = await raw(port, all.join(''), 30_000)
  expect(contents(answer)).toEqual(all.map((_, index) => `GET /${index} `))
  expect(Math.max(...served.map(({ beside }) => beside))).toBe(0)
}, 40_000)

/** A client that keeps what it got. */
function connect(port: number): { socket: net.Socket; received: () => string; closed: Promise<unknown> } {
  const socket = net.connect(port, '127.0.0.1')
  open.push({ close: () => socket.destroy() })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  return { socket, received: () => text, closed: once(socket, 'close').catch(() => {}) }
}

/** A backend that answers when it is told to. */
async function heldBackend(): Promise<{ backend: Backend; urls: string[]; answer: (content: string) => void }> {
  const held: http.ServerResponse[] = []
  const urls: string[] = []
  const backend = await httpBackend((request, response) => {
    urls.push(request.url!)
    held.push(response)
  })
  return { backend, urls, answer: (content) => held.pop()!.end(content) }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('nothing more is read while an answer is open', async () => {
  const { backend, urls } = await heldBackend()
  const port = await portTo(backend)
  const { socket } = connect(port)
  const batch = get('/').repeat(10_000)
  const started = Date.now()
  const write = () => {
    while (Date.now() - started < 400 && socket.write(batch));
  }
  socket.on('drain', write)
  write()
  await pause(600)
  expect(urls).toHaveLength(1)
  // What is not there yet are the buffers of the kernel.
  expect(socket.bytesWritten - socket.writableLength).toBeLessThan(16 << 20)
  expect(socket.writableLength).toBeGreaterThan(0)
})

test('a connection that makes too much wait is closed, and counted', async () => {
  const { backend, urls } = await heldBackend()
  const port = await portTo(backend, { maxPipelined: 100 })
  const first = connect(port)
  first.socket.write(get('/').repeat(102))
  await first.closed
  expect(await world.metrics.registry.metrics()).toContain('wishbone_refused_total{reason="pipelined"} 1')
  expect(world.log.join('')).toContain('too many requests wait behind others')
  // Its places are free again.
  const second = connect(port)
  second.socket.write(get('/second').repeat(101))
  await expect.poll(() => urls).toContain('/second')
  await pause(50)
  expect(second.socket.destroyed).toBe(false)
})

test('what waited for a client that went away is not served', async () => {
  const { backend, urls, answer } = await heldBackend()
  const port = await portTo(backend, { maxPipelined: 2 })
  const { socket } = connect(port)
  socket.write(get('/1') + post('/2', 'a') + post('/3', 'b'))
  await expect.poll(() => urls).toEqual(['/1'])
  socket.resetAndDestroy()
  await pause(50)
  answer('<1>')
  await pause(50)
  expect(urls).toEqual(['/1'])
  const next = connect(port)
  next.socket.write(get('/4') + get('/5') + get('/6'))
  await expect.poll(() => urls).toEqual(['/1', '/4'])
  expect(next.socket.destroyed).toBe(false)
})

test.each([
  ['a request that says close', get('/1', 'Connection: close\r\n'), [200]],
  ['a malformed one', get('/1').replace('/1', '/#1'), [400]],
])('nothing is served behind %s', async (_what, first, answers) => {
  const served: Served[] = []
  const port = await portTo(await slowBackend(served))
  expect(statuses(await raw(port, first + post('/2', 'a') + get('/3'), 5_000))).toEqual(answers)
  expect(served.filter(({ url }) => url !== '/1')).toEqual([])
})

describe('what is no request, behind open ones', () => {
  test.each([
    ['garbage', 'garbage\r\n\r\n', 400],
    ['CONNECT', 'CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n', 405],
    ['another version', 'GET / HTTP/2.0\r\nHost: h\r\n\r\n', 505],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['an unknown expectation', get('/', 'Expect: wonders\r\n'), 417],
    ['a length and chunks', get('/', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), 400],
  ])('%s is answered after them', async (_what, bytes, status) => {
    const served: Served[] = []
    const port = await portTo(await slowBackend(served))
    const answer = await raw(port, get('/1') + get('/2') + bytes, 5_000)
    expect(contents(answer)).toEqual(['GET /1 ', 'GET /2 '])
    expect(statuses(answer)).toEqual([200, 200, status])
    expect(served).toHaveLength(2)
  })

  test('a broken body is refused in its turn', async () => {
    const served: Served[] = []
    const port = await portTo(await slowBackend(served))
    const chunked = 'POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'
    const answer = await raw(port, get('/1') + chunked, 5_000)
    expect(statuses(answer)).toEqual([200, 400])
    expect(served).toHaveLength(1)
  })

  test('garbage does not get into the content of an answer', async () => {
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
    const port = await portTo(
      await httpBackend((_request, response) => {
        response.writeHead(200, { 'content-length': 8 })
        response.write('half')
        void mayEnd.then(() => response.end('half'))
      }),
    )
    const { socket, received, closed } = connect(port)
    socket.write(get('/'))
    await expect.poll(received).toContain('half')
    socket.write('garbage\r\n\r\n'.repeat(3))
    await pause(50)
    end()
    await closed
    expect(received()).toMatch(/halfhalfHTTP\/1.1 400/)
  })

  test('half a request has its time from the answer on', async () => {
    const { backend, answer } = await heldBackend()
    const port = await portTo(backend, { headersTimeoutMs: 100 })
    const { socket, received, closed } = connect(port)
    socket.write(`${get('/1')}GET /2 HTTP/1.1\r\n`)
    await pause(400)
    expect(received()).toBe('')
    answer('<1>')
    await closed
    expect(statuses(received())).toEqual([200, 408])
    const other = connect(port)
    other.socket.write(`${get('/1')}GET /2 HTTP/1.1\r\n`)
    await pause(400)
    answer('<1>')
    await expect.poll(other.received).toContain('<1>')
    other.socket.write('Host: h\r\n\r\n')
    await pause(200)
    answer('<2>')
    await expect.poll(other.received).toContain('<2>')
    expect(statuses(other.received())).toEqual([200, 200])
  })

  test('an upgrade is a plain request, and the last one: nothing behind it is read', async () => {
    const served: Served[] = []
    const port = await portTo(await slowBackend(served))
    const upgrade = get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')
    const { socket, received, closed } = connect(port)
    socket.write(`${get('/1')}${get('/2')}${upgrade}${get('/frames')}`)
    await pause(10)
    socket.write(get('/more'))
    await closed
    expect(statuses(received())).toEqual([200, 200, 200])
    expect(received()).toMatch(/connection: close\r\n/i)
    expect(served.map(({ url }) => url)).toEqual(['/1', '/2', '/ws'])
  })
})

test.each([
  ['a GET', get('/1', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'), ['GET /1 ', 'POST /2 ab', 'GET /3 ']],
  // Here what came with it cannot be read any more, so the connection ends.
  ['a POST', post('/1', 'a').replace('Host', 'Connection: Upgrade\r\nUpgrade: h2c\r\nHost'), ['POST /1 a']],
])('behind %s with an upgrade that is ignored nothing is lost, or served in part', async (_what, first, answers) => {
  const port = await portTo(await slowBackend([]))
  const { socket, received } = connect(port)
  socket.write(`${first}POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na`)
  await pause(30)
  socket.write(`b${get('/3')}`)
  await expect.poll(() => contents(received())).toEqual(answers)
  await pause(50)
  expect(contents(received())).toEqual(answers)
  expect(statuses(received())).toEqual(answers.map(() => 200))
})

test('an upgrade behind a request whose client goes away ends nothing but itself', async () => {
  const { backend, urls, answer } = await heldBackend()
  const port = await portTo(backend)
  for (const end of [(socket: net.Socket) => socket.resetAndDestroy(), (socket: net.Socket) => void socket.end()]) {
    const { socket } = connect(port)
    socket.write(get('/1') + get('/2') + get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'))
    await expect.poll(() => urls.length).toBeGreaterThan(0)
    end(socket)
    await pause(30)
    answer('<1>')
    await pause(30)
    urls.length = 0
  }
  const last = raw(port, get('/last', 'Connection: close\r\n'))
  await expect.poll(() => urls).toContain('/last')
  answer('<last>')
  expect(await last).toContain('<last>')
})
