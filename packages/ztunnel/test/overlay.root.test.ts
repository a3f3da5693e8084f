import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { create } from '@bufbuild/protobuf'
import { workload as proto } from '@wishbone/proto'
import { connectIn, dupFd, udpIn } from '@wishbone/runtime/os'
import { decode, encode } from 'dns-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memberOf, policyOf, serviceOf, stateOf, workloadOf } from '../src/decide/testing.ts'
import { Overlay, openLine, startEcho, talk } from './overlay.ts'

const web = 'web.shop.svc.cluster.local'
let overlay: Overlay
let state: ReturnType<typeof stateOf>

const settled = (ms = 100) => new Promise((resolve) => setTimeout(resolve, ms))
const access = () => overlay.lines().filter((line) => line['scope'] === 'access')

beforeEach(async () => {
  state = stateOf({
    workloads: [
      workloadOf('client', '10.7.0.1'),
      workloadOf('server', '10.7.0.2', { services: memberOf(web, 80, 9080) }),
      workloadOf('plain', '10.7.0.3', { tunnelProtocol: proto.TunnelProtocol.NONE }),
    ],
    services: [serviceOf('web', '10.96.0.1')],
  })
  overlay = new Overlay(state)
  overlay.addPod('client', '10.7.0.1')
  overlay.addPod('server', '10.7.0.2')
  overlay.addPod('plain', '10.7.0.3')
  await overlay.enrol('client')
  await overlay.enrol('server')
})

afterEach(async () => {
  await overlay[Symbol.asyncDispose]()
})

describe('traffic', () => {
  test('by service: through HBONE, the application sees the client, half-close works, both sides log', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    expect(await talk(overlay.ns('client'), '10.96.0.1', 80, 'ping')).toBe('hello 10.7.0.1\nping')
    await settled()
    const [first, second] = access()
    const lines = [first, second].sort((a, b) => String(b?.['direction']).localeCompare(String(a?.['direction'])))
    expect(lines[0]).toMatchObject({
      message: 'connection complete',
      direction: 'outbound',
      'src.workload': 'client',
      'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
      'dst.addr': '10.7.0.2:15008',
      'dst.hbone_addr': '10.7.0.2:9080',
      'dst.service': web,
      'dst.workload': 'server',
      'dst.identity': 'spiffe://cluster.local/ns/shop/sa/server',
      bytes_sent: 4,
      bytes_recv: 19,
    })
    expect(lines[1]).toMatchObject({
      direction: 'inbound',
      'src.workload': 'client',
      'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
      'dst.hbone_addr': '10.7.0.2:9080',
      'dst.service': web,
      bytes_sent: 19,
      bytes_recv: 4,
    })
    expect(lines[0]).not.toHaveProperty('error')
    const text = await overlay.metrics.text()
    expect(text).toMatch(
      /istio_tcp_connections_closed_total\{reporter="source".*connection_security_policy="mutual_tls".*\} 1/,
    )
    expect(text).toMatch(/istio_tcp_sent_bytes_total\{reporter="destination".*\} 19/)
    expect(text).toMatch(/istio_tcp_received_bytes_total\{reporter="source".*\} 4/)
  })

  test('by pod IP, to a port that no service knows', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 7777)
    expect(await talk(overlay.ns('client'), '10.7.0.2', 7777, 'x')).toBe('hello 10.7.0.1\nx')
    await settled()
    expect(access()[0]).toMatchObject({ 'dst.addr': expect.stringMatching(/10.7.0.2:15008/) })
  })

  test('to a pod outside the mesh, and from it', async () => {
    await using _plain = await startEcho(overlay.ns('plain'), 80)
    await using _server = await startEcho(overlay.ns('server'), 9080)
    expect(await talk(overlay.ns('client'), '10.7.0.3', 80, 'out')).toBe('hello 10.7.0.1\nout')
    expect(await talk(overlay.ns('plain'), '10.7.0.2', 9080, 'in')).toBe('hello 10.7.0.3\nin')
    await settled()
    const lines = access()
    expect(lines.map((line) => line['direction'])).toEqual(['outbound', 'inbound'])
    for (const line of lines) expect(line).not.toHaveProperty('src.identity')
  })

  test('a pod to itself, by its own address and by its service', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    expect(await talk(overlay.ns('server'), '10.7.0.2', 9080, 'a')).toBe('hello 10.7.0.2\na')
    expect(await talk(overlay.ns('server'), '10.96.0.1', 80, 'b')).toBe('hello 10.7.0.2\nb')
  })

  test('many bytes both ways arrive unchanged', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const sent = randomBytes(8 << 20)
    const socket = await connectIn(overlay.ns('client'), { ip: '10.96.0.1', port: 80, timeoutMs: 3000 })
    socket.end(sent)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const received = Buffer.concat(chunks)
    expect(received.subarray(received.indexOf(10) + 1).equals(sent)).toBe(true)
  })

  test('many connections share tunnels', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const answers = await Promise.all(
      Array.from({ length: 150 }, (_, i) => talk(overlay.ns('client'), '10.96.0.1', 80, `n${i}`)),
    )
    expect(answers.every((answer, i) => answer.endsWith(`\nn${i}`))).toBe(true)
  })

  test('an application that refuses: the client is reset, the reason is logged', async () => {
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    await settled()
    expect(access().find((line) => line['direction'] === 'outbound')?.['error']).toMatch(/503/)
    expect(access().find((line) => line['direction'] === 'inbound')?.['error']).toMatch(
      /cannot connect to 10.7.0.2:9080.*ECONNREFUSED/,
    )
  })

  test('a service without endpoints refuses at once', async () => {
    state.apply({ addresses: [], removed: ['Kubernetes//Pod/shop/server'] })
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    expect(access()[0]).toMatchObject({
      message: 'connection failed',
      error: expect.stringMatching(/no healthy endpoint/),
    })
  })

  test('a server that does not prove the expected identity gets nothing', async () => {
    await using echo = await startEcho(overlay.ns('server'), 9080)
    const impostor = workloadOf('server', '10.7.0.2', {
      serviceAccount: 'somebody-else',
      services: memberOf(web, 80, 9080),
    })
    state.apply({
      addresses: [[impostor.uid, create(proto.AddressSchema, { type: { case: 'workload', value: impostor } })]],
      removed: [],
    })
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    expect(echo.accepted()).toBe(0)
    await settled()
    expect(JSON.stringify(access())).toMatch(/expected spiffe:\/\/cluster.local\/ns\/shop\/sa\/somebody-else/)
  })
})

describe('policy', () => {
  const allow = (name: string) =>
    policyOf('allow', {
      rules: [
        {
          clauses: [
            {
              matches: [{ principals: [{ matchType: { case: 'exact', value: `cluster.local/ns/shop/sa/${name}` } }] }],
            },
          ],
        },
      ],
    })
  const put = (name: string) =>
    state.applyAuthorizations({ authorizations: [['shop/allow', allow(name)]], removed: [] })

  test('denies another identity and plaintext, and closes what is open when it changes', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    put('client')
    expect(await talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).toMatch(/x$/)
    await expect(talk(overlay.ns('plain'), '10.7.0.2', 9080, 'x')).rejects.toThrow()
    const line = await openLine(overlay.ns('client'), '10.96.0.1', 80)
    await settled()
    expect(line.read()).toMatch(/^hello/)
    put('nobody')
    await line.closed
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    await settled()
    const errors = access().map((one) => String(one['error'] ?? ''))
    expect(errors.some((error) => error.includes('policy change'))).toBe(true)
    expect(errors.some((error) => error.includes('401'))).toBe(true)
  })

  test('a policy that is named and late is waited for, then refuses', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const named = workloadOf('server', '10.7.0.2', {
      services: memberOf(web, 80, 9080),
      authorizationPolicies: ['shop/allow'],
    })
    state.apply({
      addresses: [[named.uid, create(proto.AddressSchema, { type: { case: 'workload', value: named } })]],
      removed: [],
    })
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    const later = talk(overlay.ns('client'), '10.96.0.1', 80, 'late')
    await settled()
    put('client')
    expect(await later).toMatch(/late$/)
  })
})

describe('life', () => {
  test('a pod whose workload is not known waits for it', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    overlay.addPod('late', '10.7.0.4')
    await overlay.enrol('late')
    const waiting = talk(overlay.ns('late'), '10.96.0.1', 80, 'x')
    await settled()
    const late = workloadOf('late', '10.7.0.4')
    state.apply({
      addresses: [[late.uid, create(proto.AddressSchema, { type: { case: 'workload', value: late } })]],
      removed: [],
    })
    expect(await waiting).toMatch(/^hello 10.7.0.4/)
  })

  test('a draining proxy finishes what is open and takes nothing new', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const line = await openLine(overlay.ns('client'), '10.96.0.1', 80)
    await settled()
    let drained = false
    const drain = overlay.pods.drain().then(() => {
      drained = true
    })
    await settled()
    expect(drained).toBe(false)
    line.socket.write('still')
    await settled()
    expect(line.read()).toMatch(/still$/)
    await expect(talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).rejects.toThrow()
    line.socket.end()
    await drain
  })

  test('a proxy that is to stop goes on until another one listens, then takes nothing new', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const line = await openLine(overlay.ns('client'), '10.96.0.1', 80)
    await settled()
    let over = false
    const handing = overlay.pods.handOver(10_000).then(() => {
      over = true
    })
    await settled(250)
    expect(over).toBe(false)
    expect(await talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).toMatch(/x$/)
    await using second = new Overlay(state)
    for (const name of ['client', 'server'])
      await second.pods.add({
        uid: name,
        info: { name, namespace: 'shop', serviceAccount: name },
        nsFd: dupFd(overlay.ns(name)),
      })
    await handing
    // The new one has a root of its own here, so that only plaintext shows who serves.
    await using _plain = await startEcho(overlay.ns('plain'), 80)
    const before = overlay.log.length
    for (let i = 0; i < 8; i++) expect(await talk(overlay.ns('client'), '10.7.0.3', 80, 'y')).toMatch(/y$/)
    expect(overlay.log.length).toBe(before)
    line.socket.write('still')
    await settled()
    expect(line.read()).toMatch(/still$/)
    line.socket.destroy()
  })

  test('a pod that leaves closes its connections; adding it again works', async () => {
    await using _echo = await startEcho(overlay.ns('server'), 9080)
    const line = await openLine(overlay.ns('client'), '10.96.0.1', 80)
    await settled()
    await overlay.pods.delete('server')
    await line.closed
    await overlay.enrol('server')
    expect(await talk(overlay.ns('client'), '10.96.0.1', 80, 'x')).toMatch(/x$/)
  })

  test('a snapshot drops what it does not mention; a namespace that is none fails only itself', async () => {
    await overlay.pods.snapshot(new Set(['client']))
    expect([...overlay.pods.proxies()].map((proxy) => proxy.info.uid)).toEqual(['client'])
    const fd = (await import('node:fs')).openSync('/dev/null', 'r')
    await expect(
      overlay.pods.add({ uid: 'bad', info: { name: 'bad', namespace: 'shop', serviceAccount: '' }, nsFd: fd }),
    ).rejects.toThrow(/setns/)
    expect([...overlay.pods.proxies()].map((proxy) => proxy.info.uid)).toEqual(['client'])
  })
})

test('names of services are answered in the pod', async () => {
  const socket = dgram.createSocket('udp4')
  await new Promise<void>((resolve) =>
    socket.bind({ fd: udpIn(overlay.ns('client'), { ip: '0.0.0.0', port: 0 }) }, resolve),
  )
  try {
    const answered = new Promise<Buffer>((resolve) => socket.once('message', resolve))
    socket.send(
      encode({ type: 'query', id: 7, flags: 0x100, questions: [{ type: 'A', name: 'web.shop' }] }),
      53,
      '10.96.0.10',
    )
    const answer = decode(await answered)
    expect(answer).toMatchObject({
      id: 7,
      rcode: 'NOERROR',
      answers: [{ type: 'A', name: 'web.shop', data: '10.96.0.1' }],
    })
  } finally {
    socket.close()
  }
})
