// The rules of the agent in real namespaces: a client, a router that stands for the host, and a pod.
import { once } from 'node:events'
import net from 'node:net'
import {
  addAddress,
  addRoute,
  applyRules,
  closeFd,
  connectIn,
  createVeth,
  listenIn,
  newNamespace,
  originalDestination,
  setSysctl,
  setUp,
  withNamespace,
} from '@wishbone/runtime/os'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countTunnelled } from '../src/pods/tunnelled.ts'
import { hostRules } from '../src/rules/host-rules.ts'
import { capture, clear, isCaptured, release } from '../src/rules/install.ts'
import type { PodRuleFacts } from '../src/rules/pod-rules.ts'

const facts: PodRuleFacts = {
  inbound: true,
  dns: true,
  probePorts: [8080],
  virtualInterfaces: [],
  ipv6: true,
  probeSource: { ipv4: '169.254.7.127', ipv6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' },
}
const families = [
  { client: '10.5.1.2', host: '10.5.2.1', pod: '10.5.2.2' },
  { client: 'fd05:1::2', host: 'fd05:2::1', pod: 'fd05:2::2' },
]

let client: number
let host: number
let pod: number
const closers: (() => void)[] = []

beforeEach(() => {
  client = newNamespace()
  host = newNamespace()
  pod = newNamespace()
  createVeth({ nameA: 'eth0', nsA: client, nameB: 'left', nsB: host })
  createVeth({ nameA: 'eth0', nsA: pod, nameB: 'right', nsB: host })
  for (const [ns, device, addresses] of [
    [client, 'eth0', ['10.5.1.2/24', 'fd05:1::2/64']],
    [host, 'left', ['10.5.1.1/24', 'fd05:1::1/64']],
    [host, 'right', ['10.5.2.1/24', 'fd05:2::1/64']],
    [pod, 'eth0', ['10.5.2.2/24', 'fd05:2::2/64']],
  ] as const) {
    setUp(ns, 'lo')
    // Duplicate address detection would keep the addresses back for a second.
    setSysctl(ns, `net/ipv6/conf/${device}/accept_dad`, 0)
    setUp(ns, device)
    for (const address of addresses) addAddress(ns, device, address)
  }
  addRoute(client, { dst: 'default', via: '10.5.1.1' })
  addRoute(client, { dst: '::/0', via: 'fd05:1::1' })
  addRoute(pod, { dst: 'default', via: '10.5.2.1' })
  addRoute(pod, { dst: '::/0', via: 'fd05:2::1' })
  setSysctl(host, 'net.ipv4.ip_forward', 1)
  setSysctl(host, 'net.ipv6.conf.all.forwarding', 1)
})

afterEach(() => {
  for (const close of closers.splice(0)) close()
  for (const ns of [client, host, pod]) closeFd(ns)
})

/** Answers each connection with its word, where it was going and who it is; then echoes. */
async function serve(ns: number, port: number, word: string): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    const to = originalDestination(socket)
    socket.write(`${word} to ${to?.ip} ${to?.port} from ${socket.remoteAddress?.replace('::ffff:', '')}\n`)
    socket.pipe(socket)
    closers.push(() => socket.destroy())
  })
  server.listen({ fd: listenIn(ns, { ip: '::', port }) })
  await once(server, 'listening')
  closers.push(() => server.close())
}

async function firstLine(
  ns: number,
  ip: string,
  port: number,
  more: { mark?: number; sourceIp?: string } = {},
): Promise<string> {
  const socket = await connectIn(ns, { ip, port, timeoutMs: 2000, ...more })
  const [chunk] = await once(socket, 'data')
  socket.destroy()
  return String(chunk).trim()
}

describe.each(families)('captured: $pod', (ip) => {
  beforeEach(async () => {
    await serve(pod, 15_001, 'outbound')
    await serve(pod, 15_006, 'inbound')
    await serve(pod, 15_008, 'hbone')
    await serve(pod, 8080, 'app')
    await serve(client, 8080, 'outside')
    capture(pod, facts)
  })

  test('what the pod sends goes to ztunnel, except what ztunnel sends', async () => {
    expect(await firstLine(pod, ip.client, 8080)).toBe(`outbound to ${ip.client} 8080 from ${ip.pod}`)
    expect(await firstLine(pod, ip.client, 8080, { mark: 0x539 })).toMatch(/^outside/)
  })

  test('what comes in goes to ztunnel, except tunnels', async () => {
    expect(await firstLine(client, ip.pod, 8080)).toBe(`inbound to ${ip.pod} 8080 from ${ip.client}`)
    expect(await firstLine(client, ip.pod, 15_008)).toMatch(/^hbone/)
  })

  test('the pod calls itself without ztunnel', async () => {
    expect(await firstLine(pod, ip.pod, 8080)).toMatch(/^app/)
    expect(await firstLine(pod, ip.pod.includes(':') ? '::1' : '127.0.0.1', 8080)).toMatch(/^app/)
  })

  test("ztunnel connects to the application in a client's name", async () => {
    expect(await firstLine(pod, ip.pod, 8080, { mark: 0x539, sourceIp: ip.client })).toMatch(
      new RegExp(`^app .* from ${ip.client}$`),
    )
  })

  test('probes of the host reach the application at the probe port only, and nobody else does', async () => {
    await serve(pod, 9090, 'app')
    const rules = hostRules(
      [{ uid: 'u', ips: families.map((one) => one.pod), probePorts: facts.probePorts }],
      facts.probeSource,
      0,
    )
    applyRules(host, rules)
    expect(await firstLine(host, ip.pod, 8080)).toMatch(/^app .* from (169\.254\.7\.127|fd16:.*)$/)
    expect(await firstLine(host, ip.pod, 9090)).toBe(`inbound to ${ip.pod} 9090 from ${ip.host}`)
    expect(await firstLine(client, ip.pod, 8080)).toMatch(/^inbound/)
  })

  test('applying twice is the same; a released pod is not captured; a cleared one has nothing left', async () => {
    capture(pod, facts)
    expect(isCaptured(pod)).toBe(true)
    expect(await firstLine(client, ip.pod, 8080)).toMatch(/^inbound/)
    release(pod, facts)
    expect(isCaptured(pod)).toBe(true)
    expect(await firstLine(client, ip.pod, 8080)).toMatch(/^app/)
    expect(await firstLine(pod, ip.client, 8080)).toMatch(/^outside/)
    clear(pod)
    clear(pod)
    expect(isCaptured(pod)).toBe(false)
    expect(await firstLine(client, ip.pod, 8080)).toMatch(/^app/)
  })
})

describe.each(families)('connections that are open: $pod', (ip) => {
  /** Sends a word and waits until it comes back. */
  async function echo(socket: net.Socket, word: string): Promise<string> {
    let text = ''
    const onData = (chunk: Buffer) => {
      text += String(chunk)
    }
    socket.on('data', onData)
    socket.write(word)
    const deadline = Date.now() + 1500
    while (!text.includes(word) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
    socket.off('data', onData)
    return text
  }

  test('those of before the capture go on as they are, in both directions', async () => {
    await serve(pod, 8080, 'app')
    await serve(client, 8080, 'outside')
    await serve(pod, 15_001, 'outbound')
    await serve(pod, 15_006, 'inbound')
    const inward = await connectIn(client, { ip: ip.pod, port: 8080, timeoutMs: 5000 })
    const outward = await connectIn(pod, { ip: ip.client, port: 8080, timeoutMs: 5000 })
    closers.push(
      () => inward.destroy(),
      () => outward.destroy(),
    )
    expect(await echo(inward, 'one')).toMatch(/^app.*one/s)
    expect(await echo(outward, 'one')).toMatch(/^outside.*one/s)
    capture(pod, facts)
    expect(await echo(inward, 'two')).toBe('two')
    expect(await echo(outward, 'two')).toBe('two')
    expect(await firstLine(client, ip.pod, 8080)).toMatch(/^inbound/)
    expect(await echo(inward, 'three')).toBe('three')
  })

  test('those of before the release go on through ztunnel, and are counted until they end', async () => {
    await serve(pod, 15_001, 'outbound')
    await serve(pod, 15_006, 'inbound')
    capture(pod, facts)
    const ips = families.map((one) => one.pod)
    expect(countTunnelled(pod, ips)).toBe(0)
    const inward = await connectIn(client, { ip: ip.pod, port: 8080, timeoutMs: 5000 })
    const outward = await connectIn(pod, { ip: ip.client, port: 8080, timeoutMs: 5000 })
    closers.push(
      () => inward.destroy(),
      () => outward.destroy(),
    )
    expect(await echo(inward, 'one')).toMatch(/^inbound/)
    expect(await echo(outward, 'one')).toMatch(/^outbound/)
    release(pod, facts)
    expect(await echo(inward, 'two')).toBe('two')
    expect(await echo(outward, 'two')).toBe('two')
    expect(countTunnelled(pod, ips)).toBe(2)
    inward.destroy()
    outward.destroy()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(countTunnelled(pod, ips)).toBe(0)
  })
})

test('a pod without IPv6 is captured all the same', async () => {
  withNamespace(pod, () => setSysctl(undefined, 'net.ipv6.conf.all.disable_ipv6', 1))
  await serve4(pod, 15_006, 'inbound')
  capture(pod, facts)
  expect(await firstLine(client, '10.5.2.2', 8080)).toMatch(/^inbound/)
  clear(pod)
})

async function serve4(ns: number, port: number, word: string): Promise<void> {
  const server = net.createServer((socket) => socket.end(`${word}\n`))
  server.listen({ fd: listenIn(ns, { ip: '0.0.0.0', port }) })
  await once(server, 'listening')
  closers.push(() => server.close())
}
