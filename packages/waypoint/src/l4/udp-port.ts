// One UDP port of a gateway. A flow is what comes from one address and port of a client: it goes to one endpoint, through
// a socket of its own, so that the endpoint's answers find their way back. A flow ends when it is idle.
import dgram from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Logger } from '@wishbone/runtime/log'
import type { UdpPortTable, UdpRule } from '../compile/index.ts'
import { chooseShare } from '../pipeline/weights.ts'

const idleMs = 60_000
const sweepMs = 5_000
const maxFlows = 16_384
/** Datagrams of a flow that wait for its socket; UDP may lose what is more. */
const maxWaiting = 64
const receiveBufferBytes = 4 << 20

export interface UdpMetrics {
  datagram(direction: 'received' | 'sent', bytes: number): void
  flow(change: 'opened' | 'closed'): void
  dropped(reason: 'denied' | 'no-route' | 'no-endpoint' | 'no-source-port' | 'too-many-flows' | 'unreachable'): void
}

export interface UdpPortOptions {
  /** The port's current configuration; undefined: the port is being closed. */
  readonly table: () => UdpPortTable | undefined
  /** Whether the listener's policies let this client in; asked when a flow begins, and again while it lives. */
  readonly allows: (address: string, port: number) => boolean
  readonly metrics: UdpMetrics
  readonly random: () => number
  readonly now: () => number
  readonly log: Logger
}

interface Flow {
  readonly upstream: dgram.Socket
  /** The client. */
  readonly address: string
  readonly port: number
  /** The endpoint, as it is compared with the configuration's. */
  readonly endpoint: string
  lastUsedMs: number
  /** Null: the socket is connected. */
  waiting: Buffer[] | null
}

export class UdpPort {
  readonly #options: UdpPortOptions
  readonly #socket: dgram.Socket
  readonly #flows = new Map<string, Flow>()
  readonly #sweeper: NodeJS.Timeout

  private constructor(socket: dgram.Socket, options: UdpPortOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('message', (message, from) => this.#onMessage(message, from.address, from.port))
    socket.on('error', (error) => options.log.warn('a UDP port failed', { error: error.message }))
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs)
    this.#sweeper.unref()
  }

  /** Rejects when the port cannot be had. */
  static open(host: string, port: number, options: UdpPortOptions): Promise<UdpPort> {
    const { promise, resolve, reject } = Promise.withResolvers<UdpPort>()
    const type = isIPv6(host) ? 'udp6' : 'udp4'
    const socket = dgram.createSocket({ type, recvBufferSize: receiveBufferBytes })
    const fail = (error: Error) => {
      socket.close()
      reject(error)
    }
    socket.once('error', fail)
    socket.bind({ address: host, port }, () => {
      socket.off('error', fail)
      resolve(new UdpPort(socket, options))
    })
    return promise
  }

  get boundPort(): number {
    return this.#socket.address().port
  }

  close(): void {
    clearInterval(this.#sweeper)
    for (const [key, flow] of this.#flows) this.#end(key, flow)
    this.#socket.close()
  }

  #onMessage(message: Buffer, address: string, port: number): void {
    const { metrics, now } = this.#options
    metrics.datagram('received', message.length)
    // Who sends without a port wants no answer (RFC 768), and node throws at one: what cannot be a flow is no client's.
    if (port === 0) return void metrics.dropped('no-source-port')
    const key = `${address} ${port}`
    let flow = this.#flows.get(key)
    if (flow === undefined) {
      flow = this.#begin(key, address, port)
      if (flow === undefined) return
    }
    flow.lastUsedMs = now()
    if (flow.waiting === null) flow.upstream.send(message)
    else if (flow.waiting.length < maxWaiting) flow.waiting.push(message)
  }

  #begin(key: string, address: string, port: number): Flow | undefined {
    const { table, allows, metrics, random, now, log } = this.#options
    if (!allows(address, port)) return void metrics.dropped('denied')
    const rule = table()?.rule
    if (rule === undefined || rule === null) return void metrics.dropped('no-route')
    const endpoint = chooseEndpoint(rule, random)
    if (endpoint === undefined) return void metrics.dropped('no-endpoint')
    if (this.#flows.size >= maxFlows) {
      metrics.dropped('too-many-flows')
      return undefined
    }
    const upstream = dgram.createSocket(isIPv6(endpoint.host) ? 'udp6' : 'udp4')
    const flow: Flow = { upstream, address, port, endpoint: nameOf(endpoint), lastUsedMs: now(), waiting: [] }
    this.#flows.set(key, flow)
    metrics.flow('opened')
    // An endpoint that is not there answers with ICMP; the next datagram of the client begins a new flow.
    upstream.on('error', (error) => {
      metrics.dropped('unreachable')
      log.debug('a UDP flow failed', { client: key, endpoint: flow.endpoint, error: error.message })
      if (this.#flows.get(key) === flow) this.#end(key, flow)
    })
    upstream.on('message', (answer) => {
      flow.lastUsedMs = now()
      metrics.datagram('sent', answer.length)
      this.#socket.send(answer, port, address, () => {})
    })
    // Connected, so that nobody else's datagrams are taken for the endpoint's.
    // Without a callback, which node would give the error too instead of emitting it.
    upstream.once('connect', () => {
      for (const message of flow.waiting ?? []) upstream.send(message)
      flow.waiting = null
    })
    upstream.connect(endpoint.port, endpoint.host)
    return flow
  }

  /** Ends flows that are idle, and those that the configuration or a policy no longer has a place for. */
  #sweep(): void {
    const { table, allows, now } = this.#options
    const rule = table()?.rule
    const endpoints = new Set(rule?.backends.flatMap((backend) => backend.endpoints.map(nameOf)))
    const before = now() - idleMs
    for (const [key, flow] of this.#flows)
      if (flow.lastUsedMs < before || !endpoints.has(flow.endpoint) || !allows(flow.address, flow.port))
        this.#end(key, flow)
  }

  #end(key: string, { upstream }: Flow): void {
    this.#flows.delete(key)
    this.#options.metrics.flow('closed')
    try {
      upstream.close()
    } catch {
      // It has failed, and is closed.
    }
  }
}

/** The API server takes any number for the port of an EndpointSlice, and node throws at those that are none. */
const isPort = ({ port }: { readonly port: number }) => port >= 1 && port <= 65_535

function chooseEndpoint({ backends }: UdpRule, random: () => number) {
  const endpoints = chooseShare(backends, random)?.endpoints.filter(isPort) ?? []
  return endpoints[Math.floor(random() * endpoints.length)]
}

function nameOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host} ${port}`
}
