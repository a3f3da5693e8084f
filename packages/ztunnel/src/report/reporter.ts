// Opens connections for the proxies and knows all that are open.
import type { MeshError } from '@wishbone/core/errors'
import type { Logger } from '@wishbone/runtime/log'
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
    this.#log.warn('connection failed', {
      'src.addr': source,
      'dst.addr': destination,
      direction,
      error: error.describe(),
    })
  }

  connections(): Iterable<Connection> {
    return this.#open
  }
}
