// The DNS listeners of a pod, in a namespace of their own: what they need of it, and what a client can make them keep.
import dgram from 'node:dgram'
import { once } from 'node:events'
import { ports } from '@wishbone/core/names'
import { closeFd, connectIn, newNamespace, setUp, udpIn } from '@wishbone/runtime/os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { frameOf } from '../src/dns/frames.ts'
import { type DnsListeners, listenDns } from '../src/dns/listen.ts'
import type { PodScope } from '../src/proxy/scope.ts'

let ns: number
let listeners: DnsListeners | undefined
let asked: number

beforeEach(() => {
  ns = newNamespace()
  asked = 0
})

afterEach(() => {
  listeners?.close()
  listeners = undefined
  closeFd(ns)
})

function podWith(answer: Buffer): PodScope {
  const dns = {
    async answer() {
      asked++
      return answer
    },
  }
  const context = { settings: { mark: 0x539 }, dns, log: { debug: () => undefined } }
  return { nsFd: ns, context, knownWorkload: () => undefined } as unknown as PodScope
}

test('a pod whose loopback comes up only afterwards is answered over IPv6, too', async () => {
  listeners = await listenDns(podWith(Buffer.from('answer')), true)
  setUp(ns, 'lo')
  for (const ip of ['127.0.0.1', '::1']) {
    const v6 = ip.includes(':')
    const fd = udpIn(ns, { ip: v6 ? '::' : '0.0.0.0', port: 0 })
    const socket = dgram.createSocket(v6 ? 'udp6' : 'udp4')
    await new Promise<void>((resolve) => socket.bind({ fd }, resolve))
    socket.send(Buffer.alloc(12), ports.dns, ip)
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(2_000) })) as [Buffer]
    socket.close()
    expect(String(answer)).toBe('answer')
    const stream = await connectIn(ns, { ip, port: ports.dns, timeoutMs: 1_000 })
    stream.write(frameOf(Buffer.alloc(12)))
    const [bytes] = (await once(stream, 'data')) as [Buffer]
    stream.destroy()
    expect(String(bytes.subarray(2))).toBe('answer')
  }
})

test('a client that asks on and on and reads nothing is cut off', async () => {
  setUp(ns, 'lo')
  listeners = await listenDns(podWith(Buffer.alloc(60_000)), true)
  const client = await connectIn(ns, { ip: '127.0.0.1', port: ports.dns, timeoutMs: 1_000 })
  client.on('error', () => undefined)
  const closed = new Promise((resolve) => client.once('close', resolve))
  // 180 MB of answers, far more than the kernel keeps for the two ends.
  for (let round = 0; round < 30 && !client.destroyed; round++) {
    client.write(Buffer.concat(Array.from({ length: 100 }, () => frameOf(Buffer.alloc(12)))))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(asked).toBeLessThan(2_000)
  client.resume()
  await closed
})

test('the queries that may wait are counted for the pod, not for each of its connections', async () => {
  setUp(ns, 'lo')
  const pod = podWith(Buffer.alloc(0))
  const never = new Promise<Buffer>(() => undefined)
  pod.context.dns.answer = () => {
    asked++
    return never
  }
  listeners = await listenDns(pod, true)
  const clients = await Promise.all(
    Array.from({ length: 10 }, () => connectIn(ns, { ip: '127.0.0.1', port: ports.dns, timeoutMs: 1_000 })),
  )
  for (const client of clients) {
    client.on('error', () => undefined)
    client.write(Buffer.concat(Array.from({ length: 100 }, () => frameOf(Buffer.alloc(12)))))
  }
  await expect.poll(() => asked).toBeGreaterThan(500)
  await new Promise((resolve) => setTimeout(resolve, 200))
  for (const client of clients) client.destroy()
  expect(asked).toBeLessThan(600)
})
