// Opens connections for the proxies and knows all that are open.
import type { MeshError } from '@wishbone/core/errors'
import { type Logger, Repeats } from '@wishbone/runtime/log'
import type { Metrics } from '@wishbone/runtime/metrics'
import { Connection } from './connection.ts'
import type { ConnectionEnds } from './ends.ts'
import { labelsOf } from './labels.ts'
import { createTcpMetrics, type TcpMetrics } from './tcp-metrics.ts'

export class Reporter {
  readonly #log: Logger
  readonly #metrics: TcpMetrics
  readonly #now: () => number
  readonly #open = new Set<Connection>()
  readonly #repeats = new Repeats()

  constructor(options: { readonly log: Logger; readonly metrics: Metrics; readonly now: () => number }) {
    this.#log = options.log.child({ scope: 'access' })
    this.#now = options.now
    this.#metrics = createTcpMetrics(options.metrics, () => {
      for (const connection of this.#open) connection.flush()
    })
  }

  open(ends: ConnectionEnds): Connection {
    const connection = new Connection(ends, {
      log: this.#log,
      series: this.#metrics.series(labelsOf(ends)),
      now: this.#now,
      onEnd: (ended) => this.#open.delete(ended),
    })
    this.#open.add(connection)
    return connection
  }

  /** A connection that was turned away before anything was known of it. */
  refused(direction: 'inbound' | 'outbound', source: string, destination: string, error: MeshError): void {
    const fields = { 'src.addr': source, 'dst.addr': destination, direction, error: error.describe() }
    const client = source.slice(0, source.lastIndexOf(':'))
    this.#repeats.write(`${direction} ${client} ${destination} ${error.message}`, (left) =>
      this.#log.warn('connection failed', { ...fields, ...left }),
    )
  }

  connections(): Iterable<Connection> {
    return this.#open
  }
}
