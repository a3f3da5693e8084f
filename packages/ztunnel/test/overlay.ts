// A small world for tests: network namespaces as pods on one switch-less link, rules as the node agent writes them, a
// ztunnel for all of them in this process, and a certificate authority of its own. Needs root.
import { once } from 'node:events'
import net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import type { MeshState } from '@wishbone/core/mesh'
import { clientNameTable } from '@wishbone/core/names'
import {
  CertificateManager,
  createCsr,
  issueLeaf,
  selfSignedRoot,
  WorkloadCertificate,
} from '@wishbone/runtime/certificates'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics, type Metrics } from '@wishbone/runtime/metrics'
import {
  addAddress,
  addFwmarkRule,
  addLocalRoute,
  addRoute,
  applyRules,
  closeFd,
  connectIn,
  createVeth,
  dupFd,
  listenIn,
  type NftMatch,
  newNamespace,
  setSysctl,
  setUp,
} from '@wishbone/runtime/os'
import { DnsResolver } from '../src/dns/resolver.ts'
import { defaultProxySettings, type ProxySettings } from '../src/proxy/context.ts'
import { Pods } from '../src/proxy/pods.ts'
import { Reporter } from '../src/report/reporter.ts'
import { createPick } from '../src/state/pick.ts'

export class Overlay {
  readonly pods: Pods
  readonly metrics: Metrics
  readonly log: string[] = []
  readonly #namespaces = new Map<string, number>()
  readonly #router = newNamespace()
  readonly certificates: CertificateManager
  readonly root: ReturnType<typeof selfSignedRoot>

  /** With the `root` of another one its proxies and ours trust each other. */
  constructor(
    state: MeshState,
    settings: Partial<ProxySettings> = {},
    root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 }),
  ) {
    this.root = root
    this.metrics = createMetrics({ process: false })
    this.certificates = new CertificateManager({
      authority: {
        async fetch(identity) {
          const { csrPem, key } = await createCsr(identity)
          const { pem } = issueLeaf({ csrPem, uriSans: [identity], ttlSeconds: 3600, signer: root })
          return new WorkloadCertificate({ identity, key, chainPem: pem, rootsPem: root.pem })
        },
      },
    })
    const sink = { write: (line: string) => void this.log.push(line), flush: () => undefined, dropped: 0 }
    const log = createLogger({ program: 'ztunnel', format: 'json', level: 'info', sink })
    this.pods = new Pods(
      {
        state,
        pick: createPick(Math.random),
        certificates: this.certificates,
        reporter: new Reporter({ log, metrics: this.metrics, now: () => performance.now() }),
        dns: new DnsResolver({
          state,
          clusterDomain: 'cluster.local',
          network: '',
          random: Math.random,
          metrics: this.metrics,
        }),
        log,
        settings: { ...defaultProxySettings, workloadWaitMs: 500, policyWaitMs: 300, ...settings },
        random: Math.random,
      },
      this.metrics,
    )
    setSysctl(this.#router, 'net.ipv4.ip_forward', 1)
    setUp(this.#router, 'lo')
  }

  /** A pod with its own namespace, routed to all others; outside the mesh until `enrol`. */
  addPod(name: string, ip: string): number {
    const ns = newNamespace()
    const index = this.#namespaces.size + 1
    createVeth({ nameA: `pod${index}`, nsA: this.#router, nameB: 'eth0', nsB: ns })
    for (const [namespace, device] of [
      [this.#router, `pod${index}`],
      [ns, 'lo'],
      [ns, 'eth0'],
    ] as const)
      setUp(namespace, device)
    addAddress(this.#router, `pod${index}`, `169.254.${index}.1/30`)
    addAddress(ns, 'eth0', `${ip}/32`)
    addAddress(ns, 'eth0', `169.254.${index}.2/30`)
    addRoute(this.#router, { dst: `${ip}/32`, dev: `pod${index}` })
    addRoute(ns, { dst: 'default', via: `169.254.${index}.1`, dev: 'eth0', src: ip })
    this.#namespaces.set(name, ns)
    return ns
  }

  ns(name: string): number {
    return this.#namespaces.get(name)!
  }

  /** Hands the pod to ztunnel and captures it. */
  async enrol(name: string): Promise<void> {
    const ns = this.ns(name)
    await this.pods.add({ uid: name, info: { name, namespace: 'shop', serviceAccount: name }, nsFd: dupFd(ns) })
    capture(ns)
  }

  /** Hands pods that another overlay has made to this one's ztunnel too, as the agent does when a second one connects. */
  async join(other: Overlay, names: readonly string[]): Promise<void> {
    for (const name of names)
      await this.pods.add({
        uid: name,
        info: { name, namespace: 'shop', serviceAccount: name },
        nsFd: dupFd(other.ns(name)),
      })
    while (this.pods.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  lines(): Record<string, unknown>[] {
    return this.log.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pods.close(new MeshError('draining', 'the test is over'))
    this.certificates.close()
    for (const ns of this.#namespaces.values()) closeFd(ns)
    closeFd(this.#router)
  }
}

/** The rules of ambient wire §3.5 for IPv4, without probes, and the table that tracks connections to the application apart. */
function capture(ns: number): void {
  setSysctl(ns, 'net.ipv4.tcp_migrate_req', 1)
  const tcp: NftMatch = { kind: 'l4proto', value: 'tcp' }
  const udp: NftMatch = { kind: 'l4proto', value: 'udp' }
  const notOurs: NftMatch = { kind: 'mark', value: 0x539, mask: 0xfff, negate: true }
  const away: NftMatch = { kind: 'destinationIp', value: '127.0.0.1', negate: true }
  const accept = { kind: 'accept' } as const
  addFwmarkRule(ns, { family: 4, mark: 0x111, mask: 0xfff, table: 100, priority: 32_764 })
  addLocalRoute(ns, { family: 4, table: 100 })
  applyRules(ns, {
    family: 'inet',
    table: clientNameTable,
    chains: [
      {
        name: 'output',
        hook: 'output',
        type: 'filter',
        priority: -300,
        rules: [
          {
            match: [{ kind: 'outInterface', value: 'lo' }, tcp, { kind: 'mark', value: 0x539, mask: 0xfff }],
            action: { kind: 'ctZone', zone: 1, direction: 'original' },
          },
        ],
      },
    ],
  })
  applyRules(ns, {
    family: 'inet',
    table: 'mangle',
    chains: [
      {
        name: 'prerouting',
        hook: 'prerouting',
        type: 'filter',
        priority: -150,
        rules: [
          {
            match: [{ kind: 'mark', value: 0x539, mask: 0xfff }],
            action: { kind: 'setCtMark', value: 0x111, mask: 0xfff },
          },
        ],
      },
      {
        name: 'output',
        hook: 'output',
        type: 'route',
        priority: -150,
        rules: [{ match: [{ kind: 'ctMark', value: 0x111, mask: 0xfff }], action: { kind: 'restoreMarkFromCt' } }],
      },
    ],
  })
  applyRules(ns, {
    family: 'inet',
    table: 'nat',
    chains: [
      {
        name: 'prerouting',
        hook: 'prerouting',
        type: 'nat',
        priority: -100,
        rules: [
          {
            match: [away, tcp, { kind: 'destinationPort', value: 15_008, negate: true }, notOurs],
            action: { kind: 'redirect', port: 15_006 },
          },
        ],
      },
      {
        name: 'output',
        hook: 'output',
        type: 'nat',
        priority: -100,
        rules: [
          {
            match: [
              { kind: 'outInterface', value: 'lo', negate: true },
              udp,
              { kind: 'destinationPort', value: 53 },
              notOurs,
            ],
            action: { kind: 'redirect', port: 15_053 },
          },
          { match: [tcp, { kind: 'mark', value: 0x111, mask: 0xfff }], action: accept },
          { match: [away, { kind: 'outInterface', value: 'lo' }], action: accept },
          { match: [away, tcp, notOurs], action: { kind: 'redirect', port: 15_001 } },
        ],
      },
    ],
  })
}

/** A server that greets with the peer's address, then echoes; ends its side when the client has. */
export async function startEcho(
  ns: number,
  port: number,
): Promise<AsyncDisposable & { readonly accepted: () => number }> {
  let accepted = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    accepted++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.write(`hello ${socket.remoteAddress?.replace('::ffff:', '')}\n`)
    socket.pipe(socket)
  })
  server.listen({ fd: listenIn(ns, { ip: '0.0.0.0', port }) })
  await once(server, 'listening')
  return {
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Sends `text`, ends its side, and returns everything that came back. Rejects when the connection is reset. */
export async function talk(ns: number, ip: string, port: number, text: string): Promise<string> {
  const socket = await connectIn(ns, { ip, port, timeoutMs: 3000 })
  socket.end(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

export interface Line {
  readonly socket: net.Socket
  read(): string
  closed: Promise<unknown>
}

/** A connection that stays open. */
export async function openLine(ns: number, ip: string, port: number): Promise<Line> {
  const socket = await connectIn(ns, { ip, port, timeoutMs: 3000 })
  let text = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    text += String(chunk)
  })
  return { socket, read: () => text, closed: new Promise((resolve) => socket.once('close', resolve)) }
}
