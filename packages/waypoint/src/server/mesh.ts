// Port 15008: HBONE from ztunnels and gateways. Each CONNECT must be bound for something that this waypoint stands in
// front of; anything else is answered with 404 and logged.
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import { parseAuthority, parseBaggage } from '@wishbone/core/hbone'
import { canonicalIp, formatIp, type IpBytes, parseIp } from '@wishbone/core/ip'
import type { MeshState } from '@wishbone/core/mesh'
import type { WorkloadCertificate } from '@wishbone/runtime/certificates'
import { acceptHbone, type ConnectRequest, type HboneServerSession, toDuplex } from '@wishbone/runtime/hbone'
import { type Logger, Repeats } from '@wishbone/runtime/log'
import { acceptTls, Handshakes } from '@wishbone/runtime/tls'
import type { ListenerTable, RouteTable } from '../compile/index.ts'
import type { Acceptor } from './accept.ts'
import type { Connection } from './connection.ts'

export interface MeshServerOptions {
  readonly host: string
  readonly port: number
  readonly table: () => RouteTable
  readonly state: MeshState
  readonly network: string
  readonly certificate: () => Promise<WorkloadCertificate>
  readonly trustDomain: string
  readonly accept: Acceptor
  readonly log: Logger
}

export interface Bound {
  readonly listener: ListenerTable
  readonly ip: IpBytes
  readonly port: number
}

const noAddress: IpBytes = new Uint8Array(4)

export class MeshServer {
  readonly #options: MeshServerOptions
  readonly #server: net.Server
  readonly #sessions = new Set<HboneServerSession>()
  readonly #streams = new Set<Duplex>()
  readonly #handshakes = new Handshakes()
  readonly #repeats = new Repeats()
  #draining = false
  #arrivals = 0
  #lastArrivalMs = 0

  constructor(options: MeshServerOptions) {
    this.#options = options
    this.#server = net.createServer({ noDelay: true, keepAlive: true }, (socket) => void this.#onConnection(socket))
  }

  /** Rejects if the port cannot be opened. */
  async listen(): Promise<number> {
    const { host, port } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen({ host, port, backlog: 4096 }, resolve)
    await promise
    this.#server.on('error', (error) => this.#options.log.error('the HBONE port failed', { error: error.message }))
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Streams asked for so far. */
  get arrivals(): number {
    return this.#arrivals
  }

  /** When the last of them was, by performance.now(); 0: none. */
  get lastArrivalMs(): number {
    return this.#lastArrivalMs
  }

  get streams(): number {
    return this.#streams.size
  }

  /** GOAWAY everywhere; open streams finish. */
  async drain(): Promise<void> {
    this.#draining = true
    this.#server.close()
    await Promise.all([...this.#sessions].map((session) => session.drain()))
  }

  close(reason: MeshError): void {
    this.#server.close()
    this.#handshakes.close(reason)
    for (const session of this.#sessions) session.close(reason)
  }

  async #onConnection(socket: net.Socket): Promise<void> {
    const { certificate, trustDomain, log } = this.#options
    const { remoteAddress } = socket
    const client = `${remoteAddress}:${socket.remotePort}`
    socket.on('error', () => {})
    try {
      const secure = await this.#handshakes.run(async (signal) => {
        const own = await certificate()
        signal.throwIfAborted()
        return acceptTls(socket, { certificate: own, trustDomain, signal })
      })
      const session = acceptHbone(secure, {
        settings: { maxStreams: 100 },
        onConnect: (request) => this.#onConnect(request),
        onClose: (error) => {
          this.#sessions.delete(session)
          if (error !== undefined) log.debug('an HBONE session ended', { client, error: error.describe() })
        },
        log,
      })
      this.#sessions.add(session)
      // The drain began while the handshake ran.
      if (this.#draining) void session.drain()
    } catch (cause) {
      socket.destroy()
      const error = MeshError.from(cause)
      this.#repeats.write(`${remoteAddress} ${error.message}`, (left) =>
        log.info('a connection is closed: mesh TLS', { client, reason: error.describe(), ...left }),
      )
    }
  }

  #onConnect(request: ConnectRequest): void {
    this.#arrivals++
    this.#lastArrivalMs = performance.now()
    const { log, accept } = this.#options
    const bound = this.#boundFor(request.authority)
    if (typeof bound === 'string') {
      const status = bound === 'bad-authority' ? 400 : 404
      const fields = {
        authority: request.authority,
        status,
        client: request.remoteAddress,
        identity: request.peer === undefined ? undefined : `${request.peer.namespace}/${request.peer.serviceAccount}`,
        reason: status === 404 ? 'the destination is not bound to this waypoint' : 'the authority cannot be read',
      }
      this.#repeats.write(`${request.remoteAddress} ${request.authority}`, (left) =>
        log.warn('a CONNECT was refused', { ...fields, ...left }),
      )
      request.reject(status)
      return
    }
    try {
      const stream = toDuplex(request.accept())
      this.#streams.add(stream)
      stream.once('close', () => this.#streams.delete(stream))
      accept(stream, connectionFrom(request, bound), bound.listener)
    } catch (cause) {
      log.debug('a CONNECT was given up', { authority: request.authority, reason: MeshError.from(cause).describe() })
    }
  }

  /** What an authority is bound for here, or why it is not. */
  #boundFor(authority: string): Bound | 'bad-authority' | 'unknown-destination' {
    const { state, table, network } = this.#options
    const { services, workloads } = table()
    const parsed = parseAuthority(authority)
    if (parsed === undefined) return 'bad-authority'
    const { port } = parsed
    if (parsed.kind === 'hostname') {
      const listener = services.get(`${parsed.hostname}:${port}`)
      return listener === undefined ? 'unknown-destination' : { listener, ip: noAddress, port }
    }
    const ip = canonicalIp(parseIp(parsed.ip) ?? noAddress)
    for (const service of state.servicesByAddress(network, parsed.ip)) {
      const listener = services.get(`${service.hostname}:${port}`)
      if (listener !== undefined) return { listener, ip, port }
    }
    const workload = state.workloadByAddress(network, parsed.ip)
    const listener = workload === undefined ? undefined : workloads.get(workload.uid)
    return listener === undefined ? 'unknown-destination' : { listener, ip, port }
  }
}

function connectionFrom(request: ConnectRequest, { listener, ip, port }: Bound): Connection {
  const bytes = canonicalIp(parseIp(request.remoteAddress) ?? noAddress)
  const { baggage } = request.headers
  return {
    destination: { kind: 'waypoint', listener: listener.name, authority: request.authority, port },
    scheme: 'http',
    clientIp: formatIp(bytes),
    trustedHops: 0,
    clientPort: request.remotePort,
    clientIpBytes: bytes,
    destinationIp: ip,
    peer: request.peer,
    baggage: baggage === undefined ? {} : parseBaggage(baggage),
    port,
    sourceLabels: undefined,
  }
}
