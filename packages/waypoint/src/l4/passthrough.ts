// Connections that are not HTTP: TCPRoute and TLSRoute weights, else the Service itself; bytes both ways.
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'
import { type Logger, Repeats } from '@wishbone/runtime/log'
import { type Backend, type ListenerTable, matchTcp } from '../compile/index.ts'
import type { Dialler } from '../forward/dial.ts'
import type { Endpoints } from '../forward/endpoints.ts'
import type { Target } from '../forward/target.ts'
import type { Authorizer } from '../pipeline/authorize.ts'
import { chooseBackend } from '../pipeline/weights.ts'
import type { TcpMetrics } from '../report/tcp.ts'
import { readClientHello, serverNameOf } from '../server/client-hello.ts'
import { type Connection, sourceNamespace } from '../server/connection.ts'
import { type Join, joinStreams } from './join.ts'

const maxTries = 3
const clientHelloMs = 10_000

export interface PassthroughOptions {
  readonly endpoints: Endpoints
  readonly dial: Dialler
  readonly authorizer: Authorizer
  readonly random: () => number
  readonly metrics: TcpMetrics
  readonly log: Logger
}

export class Passthrough {
  readonly #options: PassthroughOptions
  readonly #joins = new Set<Join>()
  #dialling = 0
  readonly #repeats = new Repeats()

  constructor(options: PassthroughOptions) {
    this.#options = options
  }

  /** Connections that are carried or about to be: a drain waits for both. */
  get active(): number {
    return this.#joins.size + this.#dialling
  }

  /** Owns the stream. `serverName` undefined: the client is expected to begin with a ClientHello, which says it. */
  carry(stream: Duplex, connection: Connection, listener: ListenerTable, serverName: string | undefined): void {
    void this.#carry(stream, connection, listener, serverName).catch((cause: unknown) => {
      const error = MeshError.from(cause)
      const fields = {
        listener: listener.name,
        client: formatSocketAddress(connection.clientIp, connection.clientPort),
        reason: error.code,
        error: error.describe(),
      }
      this.#repeats.write(`${connection.clientIp} ${listener.name} ${error.message}`, (left) =>
        this.#options.log.info('a connection was refused', { ...fields, ...left }),
      )
      this.#options.metrics.refused(connection, listener, error)
      // A reset, so that the client can tell refusal from an empty answer.
      stream.destroy(error)
    })
  }

  close(reason: Error): void {
    for (const join of this.#joins) join.close(reason)
  }

  async #carry(
    stream: Duplex,
    connection: Connection,
    listener: ListenerTable,
    serverName: string | undefined,
  ): Promise<void> {
    const { authorizer, random } = this.#options
    authorizer.forListener(listener, connection, undefined)
    const sni = serverName ?? serverNameOf(await readClientHello(stream, clientHelloMs))
    const rule = matchTcp(listener, sni, sourceNamespace(connection))
    if (rule === undefined) throw new MeshError('no-route', `no route of ${listener.name} takes server name "${sni}"`)
    const backends: readonly Backend[] = rule === null ? (listener.itself?.backends ?? []) : rule.backends
    const backend = chooseBackend(backends, random)
    if (backend === undefined) throw new MeshError('invalid-backend', `${listener.name} has no backend`)
    if (backend.kind === 'invalid') throw new MeshError('invalid-backend', `${backend.reason}: ${backend.message}`)
    // What is passed through undecrypted has its TLS already.
    const encrypted = listener.bound.kind === 'gateway' && listener.protocol === 'tls' && listener.tls === null
    const [target, upstream] = await this.#connect(backend, connection, encrypted)
    const startedMs = performance.now()
    target.load.started()
    const join = joinStreams(stream, upstream)
    this.#joins.add(join)
    const opened = this.#options.metrics.opened(connection, listener, target)
    const unwatch = authorizer.watch(target, connection, listener, undefined, (error) => join.close(error))
    const result = await join.done
    unwatch()
    this.#joins.delete(join)
    target.load.cancelled()
    opened.closed(result, performance.now() - startedMs)
  }

  /** A failed connection is tried at another endpoint. */
  async #connect(
    backend: Exclude<Backend, { kind: 'invalid' }>,
    connection: Connection,
    encrypted: boolean,
  ): Promise<[Target, Duplex]> {
    const { endpoints, dial, authorizer } = this.#options
    const tried = new Set<string>()
    this.#dialling++
    try {
      for (;;) {
        const target = endpoints.pick(backend, connection.port, tried)
        if (connection.destination.kind === 'waypoint') await authorizer.forTarget(target, connection, undefined)
        tried.add(target.key)
        try {
          return [target, await dial(encrypted ? { ...target, tls: undefined } : target, [])]
        } catch (cause) {
          if (tried.size >= maxTries || !endpoints.hasOther(backend, tried)) throw cause
        }
      }
    } finally {
      this.#dialling--
    }
  }
}
