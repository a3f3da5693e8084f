// Real sockets in throw-away network namespaces; needs root or `unshare -Urn`.
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addAddress,
  addRoute,
  boundAddress,
  closeFd,
  connectIn,
  countListeners,
  createVeth,
  hasConnection,
  inodeOf,
  listenIn,
  newNamespace,
  setUp,
  withNamespace,
} from './index.ts'

let a: number
let b: number

beforeAll(() => {
  a = newNamespace()
  b = newNamespace()
  createVeth({ nameA: 'eth0', nsA: a, nameB: 'eth0', nsB: b })
  for (const [ns, host] of [
    [a, 1],
    [b, 2],
  ] as const) {
    setUp(ns, 'lo')
    setUp(ns, 'eth0')
    addAddress(ns, 'eth0', `10.9.0.${host}/24`)
    addAddress(ns, 'eth0', `fd09::${host}/64`)
  }
})

afterAll(() => {
  closeFd(a)
  closeFd(b)
})

async function server(ip: string, options: { transparent?: boolean; port?: number } = {}) {
  const fd = listenIn(b, { ip, port: options.port ?? 0, ...options })
  const port = boundAddress(fd)?.port ?? 0
  const listening = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.end(`${socket.remoteAddress} ${socket.localAddress}`)
  })
  listening.listen({ fd })
  await once(listening, 'listening')
  return { port, close: () => listening.close() }
}

async function read(socket: net.Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

describe('namespaces', () => {
  test('a visit ends where it began, also when it throws', () => {
    const before = fs.readlinkSync('/proc/thread-self/ns/net')
    const inside = withNamespace(a, () => fs.readlinkSync('/proc/thread-self/ns/net'))
    expect(inside).toBe(`net:[${inodeOf(a)}]`)
    expect(() =>
      withNamespace(a, () => {
        withNamespace(b, () => expect(fs.readlinkSync('/proc/thread-self/ns/net')).toBe(`net:[${inodeOf(b)}]`))
        expect(fs.readlinkSync('/proc/thread-self/ns/net')).toBe(inside)
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(fs.readlinkSync('/proc/thread-self/ns/net')).toBe(before)
  })

  test('what is no namespace is refused with the reason', () => {
    const fd = fs.openSync('/dev/null', 'r')
    expect(() => withNamespace(fd, () => 1)).toThrow(/setns .*EINVAL/)
    closeFd(fd)
  })
})

describe('connectIn', () => {
  test.each(['10.9.0.2', 'fd09::2'])('reaches %s in another namespace', async (ip) => {
    const listening = await server(ip)
    const socket = await connectIn(a, { ip, port: listening.port, timeoutMs: 5000, mark: 1337 })
    expect(await read(socket)).toContain(ip.replace('2', '1').slice(0, 4))
    socket.destroy()
    listening.close()
  })

  test.each([
    ['10.77.0.9', '10.9.0.2', '10.77.0.0/24', '10.9.0.1'],
    ['fd77::9', 'fd09::2', 'fd77::/64', 'fd09::1'],
  ])('can come from the foreign address %s', async (sourceIp, ip, route, via) => {
    addRoute(b, { dst: route, via, dev: 'eth0' })
    // The replies come back to a's transparent socket as the pods' rules do it: everything foreign is local.
    addRoute(a, { dst: route, dev: 'lo', type: 'local', table: 'local' })
    const listening = await server(ip)
    const socket = await connectIn(a, { ip, port: listening.port, sourceIp, timeoutMs: 1000 })
    expect(await read(socket)).toBe(`${sourceIp} ${ip}`)
    socket.destroy()
    listening.close()
  })

  test('tells refused, unreachable and silent apart', async () => {
    const refused = connectIn(a, { ip: '10.9.0.2', port: 9, timeoutMs: 1000 })
    await expect(refused).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const unreachable = connectIn(a, { ip: '192.0.2.1', port: 9, timeoutMs: 1000 })
    await expect(unreachable).rejects.toMatchObject({ code: 'ENETUNREACH' })
    const silent = connectIn(a, { ip: '10.9.0.77', port: 9, timeoutMs: 100 })
    await expect(silent).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    const nobody = connectIn(a, { ip: '10.9.0.78', port: 9, timeoutMs: 10_000 })
    await expect(nobody).rejects.toMatchObject({ code: 'EHOSTUNREACH' })
  })

  test('an abort ends the dial with its reason', async () => {
    const reason = new Error('no longer wanted')
    const dial = connectIn(a, { ip: '10.9.0.79', port: 9, timeoutMs: 5000, signal: AbortSignal.abort(reason) })
    await expect(dial).rejects.toBe(reason)
    const controller = new AbortController()
    const later = connectIn(a, { ip: '10.9.0.79', port: 9, timeoutMs: 5000, signal: controller.signal })
    setTimeout(() => controller.abort(reason), 20)
    await expect(later).rejects.toBe(reason)
  })

  test('leaks no descriptor', async () => {
    const count = () => fs.readdirSync('/proc/self/fd').length
    const before = count()
    for (let i = 0; i < 50; i++) await connectIn(a, { ip: '10.9.0.2', port: 9, timeoutMs: 1000 }).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(count()).toBeLessThanOrEqual(before + 2)
  })
})

describe('listenIn', () => {
  test('names what is taken', async () => {
    const listening = await server('10.9.0.2', { port: 7001 })
    expect(() => listenIn(b, { ip: '10.9.0.2', port: 7001 })).toThrow(/7001.*EADDRINUSE/)
    listening.close()
  })

  test('one dual-stack listener serves both families', async () => {
    const listening = await server('::', { transparent: true })
    for (const ip of ['10.9.0.2', 'fd09::2']) {
      const socket = await connectIn(a, { ip, port: listening.port, timeoutMs: 1000 })
      expect(await read(socket)).toContain(ip)
    }
    listening.close()
  })
})

test.each(['10.9.0.2', 'fd09::2'])('a connection to %s is found by its ends while it is open', async (ip) => {
  const listening = net.createServer().listen({ fd: listenIn(b, { ip: '::', port: 0 }) })
  await once(listening, 'listening')
  const { port } = listening.address() as net.AddressInfo
  const connection = once(listening, 'connection')
  const socket = await connectIn(a, { ip, port, timeoutMs: 5000 })
  const [accepted] = (await connection) as [net.Socket]
  const client = { ip: ip.replace(/2$/, '1'), port: socket.localPort ?? 0 }
  expect(hasConnection(b, { ip, port }, client)).toBe(true)
  expect(hasConnection(a, client, { ip, port })).toBe(true)
  expect(hasConnection(b, { ip, port }, { ...client, port: client.port - 1 })).toBe(false)
  accepted.resetAndDestroy()
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.resume().once('close', resolve))
  expect(hasConnection(b, { ip, port }, client)).toBe(false)
  listening.close()
})

test('listeners are counted by their port, of both families, in their namespace only', async () => {
  expect(countListeners(b, 7007)).toBe(0)
  const one = listenIn(b, { ip: '::', port: 7007, reusePort: true })
  const two = listenIn(b, { ip: '::', port: 7007, reusePort: true })
  const other = listenIn(b, { ip: '0.0.0.0', port: 7008 })
  expect(countListeners(b, 7007)).toBe(2)
  expect(countListeners(b, 7008)).toBe(1)
  expect(countListeners(a, 7007)).toBe(0)
  for (const fd of [one, two, other]) closeFd(fd)
  expect(countListeners(b, 7007)).toBe(0)
})
