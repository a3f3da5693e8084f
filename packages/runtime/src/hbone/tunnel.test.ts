import { createHash, randomBytes, randomInt } from 'node:crypto'
import http from 'node:http'
import type net from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@wishbone/core/errors'
import { describe, expect, test } from 'vitest'
import type { CopyResult } from '../copy/types.ts'
import { acceptTls } from '../tls/accept.ts'
import { connectTls } from '../tls/connect.ts'
import { connectHbone, HboneStatusError } from './client.ts'
import { toDuplex } from './duplex.ts'
import { pipeSocket } from './pipe.ts'
import { acceptHbone } from './server.ts'
import { certificateFor, clientId, serverId, sessionPair, tcpPair } from './testing.ts'
import type { AcceptHboneOptions, ConnectRequest } from './types.ts'

/** app client ⇄ pipe ⇄ HBONE ⇄ pipe ⇄ app server, all on loopback. */
async function path(options: Partial<AcceptHboneOptions> = {}) {
  const results: Promise<CopyResult>[] = []
  const pair = await sessionPair({
    ...options,
    onConnect: async (request) => {
      const [inner, app] = await tcpPair()
      apps.set(request.authority, app)
      results.push(pipeSocket(request.accept(), inner).done)
    },
  })
  const apps = new Map<string, net.Socket>()
  let next = 1
  const open = async () => {
    const [app, inner] = await tcpPair()
    const authority = `10.0.0.1:${next++}`
    const tunnel = await pair.client.open(authority, {})
    const copy = pipeSocket(tunnel, inner)
    results.push(copy.done)
    return { client: app, server: apps.get(authority)!, copy }
  }
  return { ...pair, open, results }
}

async function sendRandom(socket: net.Socket, total: number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = total; left > 0; ) {
    const chunk = randomBytes(Math.min(left, randomInt(1, 300_000)))
    hash.update(chunk)
    left -= chunk.length
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
  }
  socket.end()
  return hash.digest('hex')
}

/** Reads to the end; unlike `for await`, it leaves the other direction open. */
function receiveAll(socket: net.Socket, slow = false): Promise<{ hash: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bytes += chunk.length
      if (!slow || randomInt(20) !== 0) return
      socket.pause()
      setTimeout(() => socket.resume(), randomInt(3))
    })
    socket.on('end', () => resolve({ hash: hash.digest('hex'), bytes }))
    socket.on('error', reject)
    socket.resume()
  })
}

describe('pipeSocket', () => {
  test('carries bytes exactly, both ways at once, past every window', async () => {
    const world = await path()
    const size = 24 << 20
    const runs = await Promise.all([world.open(), world.open(), world.open()])
    await Promise.all(
      runs.map(async ({ client, server, copy }) => {
        const [up, down, atServer, atClient] = await Promise.all([
          sendRandom(client, size),
          sendRandom(server, size),
          receiveAll(server, true),
          receiveAll(client),
        ])
        expect(atServer).toEqual({ hash: up, bytes: size })
        expect(atClient).toEqual({ hash: down, bytes: size })
        expect(await copy.done).toEqual({ sent: size, received: size })
      }),
    )
    for (const result of await Promise.all(world.results)) expect(result).toEqual({ sent: size, received: size })
    expect(world.client.streams).toBe(0)
    await world.client.drain()
    await world.server.closed
  })

  test('stops the sender when the receiver does not read, and keeps little in memory', async () => {
    const world = await path()
    const { client, server } = await world.open()
    server.pause()
    client.on('error', () => undefined)
    server.on('error', () => undefined)
    const before = process.memoryUsage()
    let accepted = 0
    const block = Buffer.alloc(1 << 20)
    const pump = () => {
      while (accepted < 200 << 20) {
        accepted += block.length
        if (!client.write(block)) return void client.once('drain', pump)
      }
    }
    pump()
    await sleep(700)
    const after = process.memoryUsage()
    // A stream's window, and what the kernel's own buffers hold.
    expect(accepted).toBeLessThan(40 << 20)
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(24 << 20)
    server.resume()
    let got = 0
    server.on('data', (chunk: Buffer) => (got += chunk.length))
    await expect.poll(() => got, { timeout: 5000 }).toBeGreaterThan(60 << 20)
    client.destroy()
    world.client.close(new MeshError('draining', 'test over'))
  })

  test('passes each end on by itself', async () => {
    const world = await path()
    const { client, server, copy } = await world.open()
    client.end('request')
    expect((await receiveAll(server)).bytes).toBe(7)
    await sleep(20)
    expect(client.readableEnded).toBe(false)
    server.write('late ')
    await sleep(20)
    server.end('answer')
    expect((await receiveAll(client)).bytes).toBe(11)
    expect(await copy.done).toEqual({ sent: 7, received: 11 })
  })

  test('a server that speaks first and closes first is heard', async () => {
    const world = await path()
    const { client, server, copy } = await world.open()
    server.end('220 ready\r\n')
    expect((await receiveAll(client)).bytes).toBe(11)
    client.end()
    await receiveAll(server)
    expect(await copy.done).toEqual({ sent: 0, received: 11 })
  })

  test('a reset of the application is a reset at the other end, not an end', async () => {
    const world = await path()
    const { client, server, copy } = await world.open()
    client.write('half of it')
    server.resume()
    await sleep(20)
    const failure = new Promise<NodeJS.ErrnoException>((resolve) => server.once('error', resolve))
    client.resetAndDestroy()
    expect((await failure).code).toBe('ECONNRESET')
    expect(await copy.done).toEqual({ sent: 10, received: 0 })
    expect(await world.results[0]).toEqual({ sent: 0, received: 10 })
  })

  test('close() resets both sides and reports why', async () => {
    const world = await path()
    const { client, server, copy } = await world.open()
    client.on('error', () => undefined)
    const failure = new Promise<NodeJS.ErrnoException>((resolve) => server.once('error', resolve))
    server.resume()
    const reason = new MeshError('denied', 'a new policy denies it')
    copy.close(reason)
    expect((await failure).code).toBe('ECONNRESET')
    expect(await copy.done).toEqual({ sent: 0, received: 0, error: reason })
  })

  test('the end of the session ends its connections with an error', async () => {
    const world = await path()
    const { client, server, copy } = await world.open()
    for (const socket of [client, server]) socket.on('error', () => undefined).resume()
    world.sockets[0].destroy()
    expect(await copy.done).toMatchObject({
      error: { code: 'backend-reset', message: expect.stringContaining('connection') },
    })
    await world.server.closed
    await world.client.closed
  })
})

describe('CONNECT', () => {
  const answer = (status: number) => ({
    onConnect: (request: ConnectRequest) => request.reject(status, { why: 'test' }),
  })

  test.each([400, 401, 503])('%i is a typed error and frees the stream', async (status) => {
    const { client, server } = await sessionPair(answer(status))
    const error = await client.open('10.0.0.1:80', {}).catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(HboneStatusError)
    expect(error).toMatchObject({ status, code: 'connect-failed', headers: { why: 'test' } })
    expect(client.streams).toBe(0)
    expect(server.streams).toBe(0)
  })

  test('headers travel both ways, and the client is who its certificate says', async () => {
    const seen: ConnectRequest[] = []
    const { client } = await sessionPair({
      onConnect: (request) => {
        seen.push(request)
        request.accept({ baggage: 'k8s.namespace.name=shop' })
      },
    })
    const tunnel = await client.open('[fd00::1]:8080', { baggage: 'a=b', forwarded: 'for="1.2.3.4:5"' })
    expect(tunnel.headers).toEqual({ baggage: 'k8s.namespace.name=shop' })
    expect(tunnel.peer).toEqual({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'server' })
    expect(seen[0]).toMatchObject({
      authority: '[fd00::1]:8080',
      headers: { baggage: 'a=b', forwarded: 'for="1.2.3.4:5"' },
      peer: { serviceAccount: 'client' },
      localAddress: '127.0.0.1',
    })
  })

  test('giving up tells the server, which may still be connecting', async () => {
    const aborted = Promise.withResolvers<unknown>()
    const { client, server } = await sessionPair({
      onConnect: (request) => request.signal.addEventListener('abort', () => aborted.resolve(request.signal.reason)),
    })
    const giveUp = new AbortController()
    const opened = client.open('10.0.0.1:80', {}, giveUp.signal)
    setTimeout(() => giveUp.abort(new MeshError('connect-timeout', 'too late')), 20)
    await expect(opened).rejects.toMatchObject({ code: 'connect-timeout' })
    expect(await aborted.promise).toMatchObject({ code: 'client-closed' })
    expect(server.streams).toBe(0)
  })

  test('what the client sends before 200 is kept', async () => {
    const got = Promise.withResolvers<string>()
    const { client } = await sessionPair({
      onConnect: async (request) => {
        await sleep(20)
        const duplex = toDuplex(request.accept())
        duplex.once('data', (chunk: Buffer) => got.resolve(chunk.toString()))
      },
    })
    const tunnel = await client.open('10.0.0.1:80', {})
    tunnel.write(Buffer.from('early'))
    expect(await got.promise).toBe('early')
  })

  test('a client never opens more streams than the server allows', async () => {
    const { client } = await sessionPair({ settings: { maxStreams: 3 }, onConnect: (request) => void request.accept() })
    await client.open('10.0.0.1:80', {})
    await client.open('10.0.0.1:80', {})
    const third = await client.open('10.0.0.1:80', {})
    expect(client.room).toBe(0)
    await expect(client.open('10.0.0.1:80', {})).rejects.toMatchObject({ code: 'overloaded' })
    third.reset(new MeshError('client-closed', 'test'))
    expect(client.room).toBe(1)
  })
})

describe('drain', () => {
  test('of the server: open streams finish, new ones are not opened, then both close', async () => {
    const { client, server } = await sessionPair({ onConnect: (request) => void toDuplex(request.accept()).resume() })
    const tunnel = toDuplex(await client.open('10.0.0.1:80', {}))
    const drained = server.drain()
    await sleep(30)
    expect(client.room).toBe(0)
    expect(server.streams).toBe(1)
    tunnel.write('still works')
    tunnel.destroy()
    await drained
    await client.closed
  })

  test('of an idle server is over at once', async () => {
    const { client, server } = await sessionPair({ onConnect: () => undefined })
    await server.drain()
    await client.closed
  })

  test('a peer that does not answer PING is given up', async () => {
    const closed = Promise.withResolvers<MeshError | undefined>()
    const { sockets } = await sessionPair({
      settings: { pingIntervalMs: 20, pingTimeoutMs: 60 },
      onConnect: () => undefined,
      onClose: closed.resolve,
    })
    sockets[0].pause()
    sockets[0].removeAllListeners('data')
    expect(await closed.promise).toMatchObject({ message: expect.stringContaining('PING') })
  })
})

test('HBONE inside HBONE carries bytes exactly and does not lock up', async () => {
  const certificates = await Promise.all([certificateFor(clientId), certificateFor(serverId)])
  const { client: outer } = await sessionPair({
    onConnect: async (request) => {
      const inner = await acceptTls(toDuplex(request.accept()), {
        certificate: certificates[1],
        trustDomain: 'cluster.local',
      })
      acceptHbone(inner, {
        onConnect: (inside) => {
          const duplex = toDuplex(inside.accept())
          duplex.pipe(duplex)
        },
      })
    },
  })
  const through = toDuplex(await outer.open('shop.default.svc.cluster.local:80', {}))
  const secure = await connectTls(through, { certificate: certificates[0], expectedIdentities: [serverId] })
  const inner = connectHbone(secure)
  const sent = randomBytes(20 << 20)
  const [app, side] = await tcpPair()
  pipeSocket(await inner.open('shop.default.svc.cluster.local:80', {}), side)
  const received = receiveAll(app as net.Socket, true)
  app.end(sent)
  expect(await received).toEqual({ hash: createHash('sha256').update(sent).digest('hex'), bytes: sent.length })
  await inner.drain()
})

test("what nobody reads of a tunnel that has ended costs the connection's window nothing", async () => {
  const window = 4 << 20
  let inner: ReturnType<typeof toDuplex>[] = []
  const pair = await sessionPair({
    settings: { connectionWindow: window, streamWindow: window },
    onConnect: (request) => void inner.push(toDuplex(request.accept()).end()),
  })
  for (let i = 0; i < 4; i++) {
    const outer = toDuplex(await pair.client.open('10.0.0.1:80', {}))
    outer.resume().end(Buffer.alloc(3 << 20))
    await expect.poll(() => pair.server.streams).toBe(0)
    for (const tunnel of inner) tunnel.destroy()
    inner = []
  }
})

test('a tunnel serves HTTP like a socket', async () => {
  const seen: unknown[] = []
  const web = http.createServer((request, response) => {
    seen.push(request.socket.remoteAddress, request.method)
    request.pipe(response)
  })
  const { client } = await sessionPair({
    onConnect: (request) => {
      const duplex = toDuplex(request.accept())
      duplex.remoteAddress = '10.1.2.3'
      web.emit('connection', duplex)
    },
  })
  const body = randomBytes(3 << 20)
  for (let round = 0; round < 2; round++) {
    const duplex = toDuplex(await client.open('10.0.0.1:80', {}))
    const answer = new Promise<Buffer>((resolve, reject) => {
      const request = http.request({
        createConnection: () => duplex as unknown as net.Socket,
        method: 'POST',
      })
      request.on('response', (response) => resolve(buffer(response))).on('error', reject)
      request.end(body)
    })
    expect((await answer).equals(body)).toBe(true)
    duplex.destroy()
  }
  expect(seen).toEqual(['10.1.2.3', 'POST', '10.1.2.3', 'POST'])
  await expect.poll(() => client.streams).toBe(0)
})
