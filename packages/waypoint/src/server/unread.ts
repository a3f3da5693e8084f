// Notices HTTP/1 clients that have gone while nothing is read from their connections: node sees a FIN or a reset only when it
// reads. Who is read is no concern of it.
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { TunnelDuplex } from '@wishbone/runtime/hbone'
import { peerHasClosed } from '@wishbone/runtime/os'

const lookMs = 1_000

/**
 * One timer looks at all connections, so that requests cost nothing; the system is asked only about those that nobody reads,
 * since what they brought has to wait: for the answer to an earlier request, for a backend that takes the body slowly, for one
 * that has not said whether it switches to WebSocket. Who has closed its side then takes no answer any more: its connection is
 * destroyed, and what runs for it ends with it.
 *
 * A client may close its side and still listen (RFC 9112 §9.6 speaks of servers only). It is given up all the same, as node does
 * where it reads, nginx by EPOLLRDHUP (ngx_http_upstream_check_broken_connection: 499), Envoy by its detection of early closes
 * on connections whose reading is disabled (detectEarlyCloseWhenReadDisabled), upgrades included until they are answered.
 */
export class UnreadWatch {
  readonly #streams = new Set<Duplex>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#look(), lookMs)
    this.#timer.unref()
  }

  /** Until it closes. */
  add(stream: Duplex): void {
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
  }

  /** The stream is no HTTP/1 connection any more: its sides end when they like. */
  release(stream: Duplex): void {
    this.#streams.delete(stream)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    for (const stream of this.#streams) if (stream.readableFlowing !== true && hasLeft(stream)) stream.destroy()
  }
}

function hasLeft(stream: Duplex): boolean {
  if (stream instanceof net.Socket) return peerHasClosed(stream)
  return stream instanceof TunnelDuplex && stream.peerHasEnded
}
