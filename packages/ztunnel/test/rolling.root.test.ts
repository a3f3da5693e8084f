// One ztunnel takes over from another, again and again, under load: nothing that is new fails, and what is open lives on.
import dgram from 'node:dgram'
import { connectIn, udpIn } from '@wishbone/runtime/os'
import { encode } from 'dns-packet'
import { expect, test } from 'vitest'
import { applyTo, memberOf, serviceOf, stateOf, workloadOf } from '../src/decide/testing.ts'
import { Overlay, openLine, startEcho, talk } from './overlay.ts'

const web = 'web.shop.svc.cluster.local'
const rolls = Number(process.env['ROLLS'] ?? 3)

async function ask(ns: number): Promise<void> {
  const socket = dgram.createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new Error('a name was not answered within 2 s')), 2_000)
  const query = encode({ type: 'query', id: 7, questions: [{ type: 'A', name: web }] })
  socket.once('message', () => resolve())
  socket.bind({ fd: udpIn(ns, { ip: '0.0.0.0', port: 0 }) }, () => socket.send(query, 53, '10.96.0.10'))
  await promise.finally(() => {
    clearTimeout(timer)
    socket.close()
  })
}

test(`${rolls} rolls under load`, { timeout: 120_000 }, async () => {
  const state = stateOf({
    workloads: [
      workloadOf('client', '10.7.0.1'),
      workloadOf('server', '10.7.0.2', { services: memberOf(web, 80, 9080) }),
    ],
    services: [serviceOf('web', '10.96.0.1')],
  })
  await using first = new Overlay(state)
  for (const [name, ip] of [
    ['client', '10.7.0.1'],
    ['server', '10.7.0.2'],
    ['plain', '10.7.0.3'],
  ] as const)
    first.addPod(name, ip)
  for (const name of ['client', 'server']) await first.enrol(name)
  await using _echo = await startEcho(first.ns('server'), 9080)
  const line = await openLine(first.ns('client'), '10.96.0.1', 80)

  const failures: string[] = []
  const done: Record<string, number> = {}
  let loading = true
  const load = async (kind: string, once: () => Promise<unknown>): Promise<void> => {
    while (loading) {
      try {
        await once()
        done[kind] = (done[kind] ?? 0) + 1
      } catch (cause) {
        failures.push(`${kind}: ${String(cause)}`)
      }
    }
  }
  const said = async (from: string, ip: string, port: number): Promise<void> => {
    const answer = await talk(first.ns(from), ip, port, 'word')
    if (!answer.endsWith('\nword')) throw new Error(`answered with "${answer}"`)
  }
  const workers = [
    ...Array.from({ length: 8 }, () => load('tunnelled', () => said('client', '10.96.0.1', 80))),
    ...Array.from({ length: 8 }, () => load('plaintext', () => said('plain', '10.7.0.2', 9080))),
    ...Array.from({ length: 4 }, () => load('names', () => ask(first.ns('client')))),
  ]
  const generations = [first]
  const ends: Promise<void>[] = []
  for (let i = 0; i < rolls; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const next = new Overlay(state, {}, first.root)
    await next.join(first, ['client', 'server'])
    await new Promise((resolve) => setTimeout(resolve, 200))
    const last = generations.at(-1)!
    await last.pods.handOver(20_000)
    ends.push(last.pods.drain())
    generations.push(next)
  }
  await new Promise((resolve) => setTimeout(resolve, 500))
  loading = false
  await Promise.all(workers)
  expect(failures).toEqual([])
  for (const kind of ['tunnelled', 'plaintext', 'names']) expect(done[kind]).toBeGreaterThan(20)
  // All but the first, which carries the line, have nothing left and have ended.
  await Promise.all(ends.slice(1))
  line.socket.write('still')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(line.read()).toMatch(/still$/)
  line.socket.end()
  await ends[0]
  for (const one of generations.slice(1)) await one[Symbol.asyncDispose]()
  if (process.env['ROLLS'] !== undefined) process.stderr.write(`${JSON.stringify(done)}\n`)
})

test('a connection that waits in the queue of a ztunnel that ends is served by the other', async () => {
  const state = stateOf({
    workloads: [workloadOf('client', '10.7.0.1'), workloadOf('server', '10.7.0.2')],
    services: [],
  })
  await using first = new Overlay(state)
  first.addPod('server', '10.7.0.2')
  first.addPod('plain', '10.7.0.3')
  await first.enrol('server')
  await using _echo = await startEcho(first.ns('server'), 9080)
  await using second = new Overlay(state, {}, first.root)
  await second.join(first, ['server'])
  // Many at once, and the first closes its listeners without giving way.
  const all = Array.from({ length: 50 }, async () => {
    const socket = await connectIn(first.ns('plain'), { ip: '10.7.0.2', port: 9080, timeoutMs: 5_000 })
    socket.end('x')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    return text
  })
  const drained = first.pods.drain()
  for (const answer of await Promise.all(all)) expect(answer).toMatch(/x$/)
  await drained
})

test('a pod is taken over only when its connections can be served; nobody else there, at once', async () => {
  const state = stateOf({ workloads: [workloadOf('server', '10.7.0.2')], services: [] })
  await using first = new Overlay(state)
  first.addPod('server', '10.7.0.2')
  first.addPod('plain', '10.7.0.3')
  await first.enrol('server')
  await using _echo = await startEcho(first.ns('server'), 9080)
  const nothingYet = stateOf({ workloads: [], services: [] })
  await using second = new Overlay(nothingYet, {}, first.root)
  const joined = second.join(first, ['server'])
  let over = false
  // Something is open, so that the first has to stay.
  const line = await openLine(first.ns('plain'), '10.7.0.2', 9080)
  const handing = first.pods.handOver(20_000).then(() => {
    over = true
  })
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(over).toBe(false)
  expect(second.pods.waiting).toBe(1)
  expect(await talk(first.ns('plain'), '10.7.0.2', 9080, 'x')).toMatch(/x$/)
  // The pod's own workload becomes known.
  applyTo(nothingYet, { workloads: [workloadOf('server', '10.7.0.2')] })
  await Promise.all([joined, handing])
  expect(await talk(first.ns('plain'), '10.7.0.2', 9080, 'y')).toMatch(/y$/)
  line.socket.destroy()
  await first.pods.drain()
  await using third = new Overlay(nothingYet, {}, first.root)
  await second.pods.drain()
  await third.join(first, ['server'])
  expect(await talk(first.ns('plain'), '10.7.0.2', 9080, 'z')).toMatch(/z$/)
})
