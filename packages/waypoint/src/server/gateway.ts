// A gateway's ports: they come and go with the configuration. Connections that are open stay when a port goes.
import net from 'node:net'
import { canonicalIp, formatIp, type IpBytes, parseIp } from '@wishbone/core/ip'
import { type Logger, Repeats } from '@wishbone/runtime/log'
import type { ListenerTable, RouteTable } from '../compile/index.ts'
import { UdpPort, type UdpPortOptions } from '../l4/udp-port.ts'
import type { Authorizer } from '../pipeline/authorize.ts'
import type { Acceptor } from './accept.ts'
import type { Certificates } from './certificates.ts'
import type { Connection } from './connection.ts'
import { acceptGatewayTls } from './gateway-tls.ts'
import type { CountRefusal } from './limits.ts'
import type { ProxyAddress } from './proxy-protocol.ts'
import { readProxyHeader } from './proxy-reader.ts'

const openAgainMs = 2_000
/** Milliseconds. A client that vanished is noticed after this, and not after the kernel's two hours: its streams may be quiet. */
const keepAliveInitialDelay = 60_000

/** What stands in front of a gateway. */
export interface Front {
  /** Proxies that are trusted to say in X-Forwarded-For and -Proto who the client is. */
  readonly trustedHops: number
  /** Whether connections to this port begin with a PROXY protocol header. */
  readonly proxyProtocol: (port: number) => boolean
}

export interface GatewayOptions {
  readonly maxConnections: number
  readonly refused: CountRefusal
  readonly front: Front
  readonly udp: Pick<UdpPortOptions, 'metrics' | 'random' | 'now'>
  readonly authorizer: Pick<Authorizer, 'forListener'>
  readonly table: () => RouteTable
  readonly accept: Acceptor
  readonly certificates: Certificates
  readonly host: string
  /** Maps a listener's port to the one to bind: tests bind any free one, pods without privileges add an offset. */
  readonly bindPort: (port: number) => number
  /** That offset, for redirects; 0: none. */
  readonly portOffset: number
  readonly log: Logger
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #servers = new Map<number, net.Server>()
  readonly #sockets = new Set<net.Socket>()
  readonly #udpPorts = new Map<number, UdpPort>()
  readonly #openingUdp = new Map<number, Promise<void>>()
  readonly #failed = new Map<number | string, string>()
  /** Of these, those that wait to be tried again: one clock each, whatever else tries them meanwhile. */
  readonly #waiting = new Set<number | string>()
  #closed = false
  #arrivals = 0
  readonly #repeats = new Repeats()
  #lastArrivalMs = 0

  constructor(options: GatewayOptions) {
    this.#options = options
  }

  /** Ports that could not be opened, with the reason; UDP ports as "<port>/udp". */
  get failed(): ReadonlyMap<number | string, string> {
    return this.#failed
  }

  /** Where a listener's port is really bound. */
  boundPort(port: number): number | undefined {
    const address = this.#servers.get(port)?.address()
    return typeof address === 'object' && address !== null ? address.port : undefined
  }

  boundUdpPort(port: number): number | undefined {
    return this.#udpPorts.get(port)?.boundPort
  }

  /** Opens and closes ports so that they are those of the table; resolves when all are open or have failed. */
  async reconcile(): Promise<void> {
    const { ports, udpPorts } = this.#options.table()
    for (const [port, server] of this.#servers)
      if (!ports.has(port)) {
        this.#servers.delete(port)
        server.close()
        this.#options.log.info('a port is closed', { port })
      }
    for (const [port, open] of this.#udpPorts)
      if (!udpPorts.has(port)) {
        this.#udpPorts.delete(port)
        open.close()
        this.#options.log.info('a port is closed', { port: `${port}/udp` })
      }
    const wanted = new Set<number | string>([...ports.keys(), ...[...udpPorts.keys()].map(udpName)])
    for (const port of this.#failed.keys()) if (!wanted.has(port)) this.#failed.delete(port)
    await Promise.all([
      ...[...ports.keys()].filter((port) => !this.#servers.has(port)).map((port) => this.#open(port)),
      ...[...udpPorts.keys()].filter((port) => !this.#udpPorts.has(port)).map((port) => this.#openUdp(port)),
    ])
  }

  /** Stops accepting. */
  close(): void {
    this.#closed = true
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    for (const open of this.#udpPorts.values()) open.close()
    this.#udpPorts.clear()
  }

  destroy(): void {
    this.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Connections accepted so far. */
  get arrivals(): number {
    return this.#arrivals
  }

  /** When the last of them came, by performance.now(); 0: none. */
  get lastArrivalMs(): number {
    return this.#lastArrivalMs
  }

  get connections(): number {
    return this.#sockets.size
  }

  #open(port: number): Promise<void> {
    const { host, bindPort, log } = this.#options
    const server = net.createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay,
      allowHalfOpen: true,
      pauseOnConnect: false,
    })
    this.#servers.set(port, server)
    const { promise, resolve } = Promise.withResolvers<void>()
    server.on('connection', (socket) => this.#onConnection(port, socket))
    server.on('error', (error) => {
      // Of a connection that was gone when it was accepted, or of no memory for it.
      if (server.listening) {
        this.#repeats.write(`${port} ${error.message}`, (left) =>
          log.warn('a connection could not be accepted', { port, error: error.message, ...left }),
        )
        return
      }
      this.#servers.delete(port)
      const isKnown = this.#failed.get(port) === error.message
      this.#failed.set(port, error.message)
      if (!isKnown)
        log.error('a port could not be opened', { port, error: error.message, hint: 'is another process using it?' })
      this.#later(port, () => this.#openAgain(port))
      resolve()
    })
    server.listen({ host, port: bindPort(port), backlog: 4096 }, () => {
      this.#failed.delete(port)
      log.info('a port is open', { port })
      resolve()
    })
    return promise
  }

  #later(name: number | string, again: () => void): void {
    if (this.#waiting.has(name)) return
    this.#waiting.add(name)
    const timer = setTimeout(() => {
      this.#waiting.delete(name)
      again()
    }, openAgainMs)
    timer.unref()
  }

  /** Whoever used the port may have ended. */
  #openAgain(port: number): void {
    if (this.#failed.has(port) && !this.#servers.has(port) && !this.#closed) void this.#open(port)
  }

  /** Once at a time: the second could not have the port, and would report it as failed. */
  #openUdp(port: number): Promise<void> {
    let opening = this.#openingUdp.get(port)
    if (opening === undefined) {
      opening = this.#tryUdp(port).finally(() => this.#openingUdp.delete(port))
      this.#openingUdp.set(port, opening)
    }
    return opening
  }

  async #tryUdp(port: number): Promise<void> {
    const { table, host, bindPort, udp, log } = this.#options
    const options = {
      ...udp,
      log,
      table: () => table().udpPorts.get(port),
      allows: (address: string, from: number) => this.#allowsDatagrams(port, address, from),
    }
    try {
      const opened = await UdpPort.open(host, bindPort(port), options)
      // Nobody wants it any more.
      if (this.#closed || !table().udpPorts.has(port)) return opened.close()
      this.#udpPorts.set(port, opened)
      this.#failed.delete(udpName(port))
      log.info('a port is open', { port: udpName(port) })
    } catch (cause) {
      const error = (cause as Error).message
      const isKnown = this.#failed.get(udpName(port)) === error
      this.#failed.set(udpName(port), error)
      if (!isKnown)
        log.error('a port could not be opened', { port: udpName(port), error, hint: 'is another process using it?' })
      this.#later(udpName(port), () => this.#openUdpAgain(port))
    }
  }

  #openUdpAgain(port: number): void {
    if (this.#failed.has(udpName(port)) && !this.#udpPorts.has(port) && !this.#closed) void this.#openUdp(port)
  }

  #allowsDatagrams(port: number, address: string, clientPort: number): boolean {
    const { table, authorizer, log } = this.#options
    const { listeners, udpPorts } = table()
    const listener = listeners.get(udpPorts.get(port)?.listener ?? '')
    if (listener === undefined) return false
    // The port is open on every address; which of them a datagram was sent to is not known.
    const connection = connectionFrom({ ip: canonicalIp(parseIp(address) ?? noAddress), port: clientPort }, noAddress, {
      destination: { kind: 'gateway', port, sni: undefined },
      scheme: 'http',
      port,
      portOffset: 0,
      trustedHops: 0,
    })
    try {
      authorizer.forListener(listener, connection, undefined)
      return true
    } catch (cause) {
      this.#repeats.write(`udp ${port} ${address}`, (left) =>
        log.info('datagrams are dropped', {
          port: udpName(port),
          client: address,
          error: (cause as Error).message,
          ...left,
        }),
      )
      return false
    }
  }

  #onConnection(port: number, socket: net.Socket): void {
    this.#arrivals++
    this.#lastArrivalMs = performance.now()
    const { maxConnections, refused } = this.#options
    if (this.#sockets.size >= maxConnections) {
      refused('too-many-connections')
      this.#repeats.write('too many connections', (left) =>
        this.#options.log.warn('a connection is reset: too many are open', {
          limit: maxConnections,
          client: socket.remoteAddress,
          hint: 'MAX_CONNECTIONS raises the limit',
          ...left,
        }),
      )
      // With a reset: a client that waits for an orderly end would hold what is scarce.
      socket.resetAndDestroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    const { front, log } = this.#options
    if (!front.proxyProtocol(port)) {
      this.#accept(port, socket, undefined)
      return
    }
    readProxyHeader(socket).then(
      (client) => this.#accept(port, socket, client),
      (cause: Error) => {
        refused('proxy-protocol')
        log.info('a connection is closed: PROXY protocol', {
          reason: cause.message,
          client: socket.remoteAddress,
          port,
          hint: 'PROXY_PROTOCOL names this port: is the load balancer in front told to send the header?',
        })
        socket.destroy()
      },
    )
  }

  /** `client`: who it is by the PROXY protocol; undefined: the other end itself. */
  #accept(port: number, socket: net.Socket, client: ProxyAddress | undefined): void {
    const table = this.#options.table().ports.get(port)
    const listener = table?.listeners[0]
    if (table === undefined || listener === undefined) return void socket.destroy()
    const { trustedHops } = this.#options.front
    const { portOffset } = this.#options
    const connectionTo = (sni: string | undefined, scheme: 'http' | 'https') =>
      connectionFrom(client ?? peerOf(socket), canonicalIp(parseIp(socket.localAddress ?? '') ?? noAddress), {
        destination: { kind: 'gateway', port, sni },
        scheme,
        port,
        portOffset,
        trustedHops,
      })
    if (table.kind !== 'tls') {
      const connection = connectionTo(undefined, 'http')
      this.#options.accept(socket, connection, listener, '')
      return
    }
    const { certificates, log, refused } = this.#options
    const accept = (stream: net.Socket, chosen: ListenerTable, serverName: string) => {
      this.#options.accept(stream, connectionTo(chosen.name, 'https'), chosen, serverName)
    }
    acceptGatewayTls(socket, { table, certificates, log, refused }, { onSecure: accept, onPassthrough: accept })
  }
}

function udpName(port: number): string {
  return `${port}/udp`
}

const noAddress = new Uint8Array(4)

function connectionFrom(
  client: ProxyAddress,
  destinationIp: IpBytes,
  facts: Pick<Connection, 'destination' | 'scheme' | 'port' | 'portOffset' | 'trustedHops'>,
): Connection {
  return {
    ...facts,
    clientIp: formatIp(client.ip),
    clientPort: client.port,
    clientIpBytes: client.ip,
    destinationIp,
    peer: undefined,
    baggage: {},
    sourceLabels: undefined,
  }
}

/** The other end of the connection itself. */
function peerOf(socket: net.Socket): ProxyAddress {
  return { ip: canonicalIp(parseIp(socket.remoteAddress ?? '') ?? noAddress), port: socket.remotePort ?? 0 }
}
