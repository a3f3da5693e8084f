// Many short connections from one address: each reaches the application, and none is taken for another. CHURN sets how many.
import { once } from 'node:events'
import net from 'node:net'
import { connectIn, listenIn, setSysctl } from '@wishbone/runtime/os'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memberOf, serviceOf, stateOf, workloadOf } from '../src/decide/testing.ts'
import { Overlay } from './overlay.ts'

const count = Number(process.env['CHURN'] ?? 2_000)
const concurrency = 50
const web = 'web.shop.svc.cluster.local'
let overlay: Overlay
let server: net.Server | undefined

beforeEach(async () => {
  overlay = new Overlay(
    stateOf({
      workloads: [
        workloadOf('client', '10.7.0.1'),
        workloadOf('server', '10.7.0.2', { services: memberOf(web, 80, 9080) }),
      ],
      services: [serviceOf('web', '10.96.0.1')],
    }),
  )
  overlay.addPod('plain', '10.7.0.3')
  overlay.addPod('client', '10.7.0.1')
  overlay.addPod('server', '10.7.0.2')
  await overlay.enrol('client')
  await overlay.enrol('server')
  for (const name of ['plain', 'client']) {
    // Few ports and no rest between two uses of one: what takes busy clients minutes happens here within seconds.
    setSysctl(overlay.ns(name), 'net.ipv4.ip_local_port_range', '40000 40999')
    setSysctl(overlay.ns(name), 'net.ipv4.tcp_tw_reuse', 1)
  }
})

afterEach(async () => {
  server?.close()
  await overlay[Symbol.asyncDispose]()
})

/** Says who is calling, then echoes a line; ends first where `first`. */
async function serve(first: boolean): Promise<void> {
  server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (line) => {
      socket.write(`${socket.remoteAddress?.replace('::ffff:', '')} ${socket.remotePort} ${String(line)}`)
      if (first) socket.end()
    })
    socket.on('end', () => socket.end())
  })
  server.listen({ fd: listenIn(overlay.ns('server'), { ip: '0.0.0.0', port: 9080, backlog: 1024 }) })
  await once(server, 'listening')
}

/** The client's few ports may all be at rest for a moment; that is its own matter. */
async function connectWhenFree(ns: number, ip: string, port: number): Promise<net.Socket> {
  for (;;) {
    try {
      return await connectIn(ns, { ip, port, timeoutMs: 5_000 })
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw cause
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** One exchange; the port that the application saw, and our own. Rejects when anything is not as it should be. */
async function exchange(from: string, ip: string, port: number, word: string): Promise<{ seen: number; own: number }> {
  const socket = await connectWhenFree(overlay.ns(from), ip, port)
  const own = socket.localPort ?? 0
  socket.setTimeout(5_000, () => socket.destroy(new Error('no answer within 5 s')))
  socket.write(`${word}\n`)
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.endsWith('\n')) socket.end()
  }
  const match = /^(\S+) (\d+) (\S+)\n$/.exec(text)
  if (match?.[3] !== word) throw new Error(`"${word}" was answered with "${text}"`)
  return { seen: Number(match[2]), own }
}

async function churn(from: string, ip: string, port: number): Promise<{ failures: string[]; kept: number }> {
  const failures: string[] = []
  let started = 0
  let kept = 0
  const worker = async (): Promise<void> => {
    while (started < count) {
      const word = `word-${started++}`
      try {
        const { seen, own } = await exchange(from, ip, port, word)
        if (seen === own) kept++
      } catch (cause) {
        failures.push(`${word}: ${String(cause)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { failures, kept }
}

describe.each([
  ['plaintext', 'plain', '10.7.0.2', 9080],
  ['tunnelled', 'client', '10.96.0.1', 80],
] as const)('%s', (_way, from, ip, port) => {
  test.each([true, false])(
    `${count} connections, the application ends first: %s`,
    { timeout: 300_000 },
    async (first) => {
      await serve(first)
      const { failures, kept } = await churn(from, ip, port)
      expect(failures).toEqual([])
      // Only where ztunnel's end of the client's former connection still waits in its place is another port taken.
      expect(kept).toBeGreaterThan(count / 4)
    },
  )
})
