import { createHash, randomBytes, randomInt } from 'node:crypto'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@wishbone/core/errors'
import { expect, test } from 'vitest'
import { adoptSocket } from './adopt.ts'
import { copySockets } from './sockets.ts'

async function pair(
  server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }),
): Promise<[net.Socket, net.Socket]> {
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const client = net.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  })
  await new Promise((resolve) => client.once('connect', resolve))
  const result: [net.Socket, net.Socket] = [client, await accepted]
  server.close()
  return result
}

/** app ⇄ copy ⇄ service. */
async function path() {
  const [app, near] = await pair()
  const [far, service] = await pair()
  return { app, service, copy: copySockets(near, far) }
}

async function send(socket: net.Socket, total: number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = total; left > 0; ) {
    const chunk = randomBytes(Math.min(left, randomInt(1, 400_000)))
    hash.update(chunk)
    left -= chunk.length
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
  }
  socket.end()
  return hash.digest('hex')
}

function receive(socket: net.Socket, slow: boolean): Promise<string> {
  const hash = createHash('sha256')
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    if (!slow || randomInt(30) !== 0) return
    socket.pause()
    setTimeout(() => socket.resume(), randomInt(4))
  })
  socket.resume()
  return new Promise((resolve) => socket.on('end', () => resolve(hash.digest('hex'))))
}

test('copies exactly both ways at once, for many connections, with slow readers', async () => {
  const size = 16 << 20
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      const { app, service, copy } = await path()
      const [up, down, atService, atApp] = await Promise.all([
        send(app, size),
        send(service, size),
        receive(service, true),
        receive(app, true),
      ])
      expect(atService).toBe(up)
      expect(atApp).toBe(down)
      expect(await copy.done).toEqual({ sent: size, received: size })
    }),
  )
})

test('a read that the other side does not take at once leaves the next ones as they are', async () => {
  const [app, near] = await pair()
  const [far, service] = await pair()
  const copy = copySockets(near, far)
  const sent = createHash('sha256')
  const received = createHash('sha256')
  let total = 0
  let taken = 0
  service.on('data', (chunk: Buffer) => {
    received.update(chunk)
    taken += chunk.length
  })
  const write = (length: number) => {
    const chunk = randomBytes(length)
    sent.update(chunk)
    total += length
    app.write(chunk)
  }
  // Which read it is that finds the other side full, a large one or the small one behind it, is chance; twelve times is enough.
  for (let round = 0; round < 12; round++) {
    service.pause()
    for (let before = -1, size = 64 << 10; before !== copy.sent; size = (96 << 10) - size) {
      before = copy.sent
      write(size)
      for (let waited = 0; waited < 20 && copy.sent < total; waited++) await sleep(1)
    }
    write(200 << 10)
    service.resume()
    await expect.poll(() => taken, { interval: 1 }).toBe(total)
  }
  expect(received.digest('hex')).toBe(sent.digest('hex'))
  for (const socket of [app, service]) socket.end()
  await copy.done
})

test('passes each end on by itself', async () => {
  const { app, service, copy } = await path()
  app.end('question')
  await receive(service, false)
  expect(app.readableEnded).toBe(false)
  service.end('answer')
  await receive(app, false)
  expect(await copy.done).toEqual({ sent: 8, received: 6 })
})

test('stops reading when the other side does not take it', async () => {
  const { app, service, copy } = await path()
  service.pause()
  let accepted = 0
  const pump = () => {
    while (accepted < 100 << 20) {
      accepted += 1 << 20
      if (!app.write(Buffer.alloc(1 << 20))) return void app.once('drain', pump)
    }
  }
  pump()
  await sleep(400)
  expect(copy.sent).toBeLessThan(30 << 20)
  copy.close(new MeshError('draining', 'test over'))
  app.on('error', () => undefined)
  service.on('error', () => undefined)
  await copy.done
})

test('a reset goes through as a reset', async () => {
  const { app, service, copy } = await path()
  service.resume()
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => service.once('error', resolve))
  await sleep(10)
  app.resetAndDestroy()
  expect((await failed).code).toBe('ECONNRESET')
  expect(await copy.done).toEqual({ sent: 0, received: 0 })
})

test('a socket that was gone before resets the other one', async () => {
  const [, near] = await pair()
  const [far, service] = await pair()
  near.destroy()
  service.resume().on('error', () => undefined)
  const closed = new Promise((resolve) => service.once('close', resolve))
  expect(await copySockets(near, far).done).toEqual({ sent: 0, received: 0 })
  await closed
})

test('bytes that were read before adoption come first', async () => {
  const [app, near] = await pair()
  app.write('before ')
  near.resume()
  near.pause()
  near.on('readable', () => undefined)
  await sleep(30)
  const [far, service] = await pair()
  copySockets(near, far)
  app.end('after')
  let text = ''
  service.on('data', (chunk: Buffer) => {
    text += chunk
  })
  service.resume()
  await new Promise((resolve) => service.once('end', resolve))
  expect(text).toBe('before after')
  service.end()
})

test('a server still counts an adopted connection until it is closed', async () => {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const closed = new Promise<void>((resolve) => server.once('close', resolve))
  const [app, near] = await pair(server)
  const { socket } = adoptSocket(near, { buffer: Buffer.alloc(100), read: () => true })
  expect(await Promise.race([closed.then(() => 'closed'), sleep(20).then(() => 'open')])).toBe('open')
  socket.destroy()
  app.on('error', () => undefined).resume()
  await closed
})

test('a connection that is closed while its FIN is on the way is closed all the same', async () => {
  const { app, service, copy } = await path()
  app.on('error', () => undefined)
  service.on('error', () => undefined).resume()
  const { prototype } = net.Socket
  const end = prototype.end as (this: net.Socket) => net.Socket
  prototype.end = function (this: net.Socket) {
    prototype.end = end as typeof prototype.end
    // The copy passes the FIN on: node asks for it in the next tick, and the loop sends it in its next round.
    process.nextTick(() => process.nextTick(() => copy.close(new MeshError('denied', 'policy change'))))
    return end.call(this)
  } as typeof prototype.end
  end.call(app)
  expect(await copy.done).toMatchObject({ error: { code: 'denied' } })
})
