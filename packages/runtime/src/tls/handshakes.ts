// Accepted connections whose client has not proved yet who it is. Whoever reaches the port can open any number of them and say nothing,
// so both their number and their time are bounded. When there are too many the oldest is given up, not the newest refused: an honest
// client is done in milliseconds, and one who floods would else keep it out with a few connections a second.
import { MeshError } from '@wishbone/core/errors'

export interface HandshakesOptions {
  /** At once; default 1024. */
  readonly limit?: number
  /** For the certificate and the handshake together; default 10 s, after which clients have given up. */
  readonly timeoutMs?: number
}

export class Handshakes {
  readonly #limit: number
  readonly #timeoutMs: number
  /** Oldest first. */
  readonly #running = new Set<AbortController>()
  #closed: MeshError | undefined

  constructor({ limit = 1024, timeoutMs = 10_000 }: HandshakesOptions = {}) {
    this.#limit = limit
    this.#timeoutMs = timeoutMs
  }

  /**
   * Runs one handshake. Rejects, and aborts its signal, with MeshError `overloaded` when too many newer ones run, `tls-failure` after
   * the time, or the reason of `close`.
   */
  async run<T>(handshake: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed
    const [oldest] = this.#running
    if (oldest !== undefined && this.#running.size >= this.#limit) oldest.abort(tooMany(this.#limit))
    const abort = new AbortController()
    const given = Promise.withResolvers<never>()
    const giveUp = () => {
      this.#running.delete(abort)
      given.reject(abort.signal.reason)
    }
    abort.signal.addEventListener('abort', giveUp)
    this.#running.add(abort)
    const timer = setTimeout(() => abort.abort(tooLate(this.#timeoutMs)), this.#timeoutMs)
    try {
      return await Promise.race([handshake(abort.signal), given.promise])
    } finally {
      clearTimeout(timer)
      this.#running.delete(abort)
    }
  }

  /** Gives all of them up, and those that come later at once. */
  close(reason: MeshError): void {
    this.#closed = reason
    for (const abort of [...this.#running]) abort.abort(reason)
  }
}

function tooMany(limit: number): MeshError {
  return new MeshError(
    'overloaded',
    `more than ${limit} connections wait for their TLS handshake: the oldest is closed`,
    {
      at: 'downstream',
    },
  )
}

function tooLate(timeoutMs: number): MeshError {
  return new MeshError('tls-failure', `no certificate of ours and no TLS handshake within ${timeoutMs} ms`, {
    at: 'downstream',
  })
}
