// HTTP/2 towards one endpoint (h2c with prior knowledge, h2 by ALPN), for gRPC and backends that ask for it.
// Sessions are opened as streams need them and closed when idle.
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { Exchange, ExchangeHandler, UpstreamRequest } from './exchange.ts'
import { Http2Exchange } from './http2-exchange.ts'

const maxStreamsPerSession = 100
const idleSessionMs = 60_000
const handshakeMs = 5_000

interface Session {
  readonly session: http2.ClientHttp2Session
  /** With an open stream. */
  readonly exchanges: Set<Http2Exchange>
  used: boolean
  leaving: boolean
}

export class Http2Pool {
  readonly #dial: () => Promise<Duplex>
  readonly #scheme: string
  readonly #sessions = new Set<Session>()
  #dialling: Promise<Session> | undefined
  #waiting = 0
  lastUsedMs = 0
  inFlight = 0

  constructor(dial: () => Promise<Duplex>, scheme: 'http' | 'https') {
    this.#dial = dial
    this.#scheme = scheme
  }

  dispatch(request: UpstreamRequest, handler: ExchangeHandler): Exchange {
    const exchange = new Http2Exchange(request, this.#scheme, handler, () => this.inFlight--)
    this.inFlight++
    const open = this.#available()
    if (open !== undefined) this.#begin(open, exchange)
    else
      this.#acquire(exchange).catch((cause: unknown) => {
        const error = MeshError.from(cause, 'connect-failed', { at: 'upstream' })
        exchange.fail({ kind: 'connect', error, reusedConnection: false })
      })
    return exchange
  }

  async close(): Promise<void> {
    for (const { session } of this.#sessions) session.close()
  }

  #begin(session: Session, exchange: Http2Exchange): void {
    const reused = session.used
    session.used = true
    session.exchanges.add(exchange)
    exchange.begin(session.session, reused, () => {
      session.exchanges.delete(exchange)
      if (session.exchanges.size === 0) session.session.setTimeout(idleSessionMs)
    })
    if (session.exchanges.size > 0) session.session.setTimeout(0)
  }

  #available(): Session | undefined {
    for (const session of this.#sessions) if (hasRoom(session)) return session
    return undefined
  }

  /**
   * Concurrent requests share one dial, up to what one session can carry. Each begins in the turn in which it finds room: others
   * that waited find only what it left.
   */
  async #acquire(exchange: Http2Exchange): Promise<void> {
    for (;;) {
      const open = this.#available()
      if (open !== undefined) return this.#begin(open, exchange)
      if (this.#dialling === undefined || this.#waiting >= maxStreamsPerSession) {
        this.#waiting = 0
        const dialling = this.#connect()
        this.#dialling = dialling
        const done = () => {
          if (this.#dialling === dialling) this.#dialling = undefined
        }
        dialling.then(done, done)
      }
      this.#waiting++
      const session = await this.#dialling!
      if (hasRoom(session)) return this.#begin(session, exchange)
      // Another one would be no better.
      if (session.exchanges.size === 0)
        throw new MeshError('connect-failed', 'the backend takes no streams on a new connection', { at: 'upstream' })
    }
  }

  async #connect(): Promise<Session> {
    const stream = await this.#dial()
    const session = http2.connect(`${this.#scheme}://endpoint`, {
      createConnection: () => stream,
      maxSessionMemory: 64,
      settings: { enablePush: false, initialWindowSize: 1 << 20 },
    })
    const entry: Session = { session, exchanges: new Set(), used: false, leaving: false }
    const { promise, resolve, reject } = Promise.withResolvers<Session>()
    const failed = (cause?: unknown) =>
      reject(new MeshError('h2-handshake', 'the backend does not speak HTTP/2', { at: 'upstream', cause }))
    const timer = setTimeout(() => {
      failed()
      session.destroy()
    }, handshakeMs)
    session.once('remoteSettings', () => {
      session.setLocalWindowSize?.(4 << 20)
      this.#sessions.add(entry)
      resolve(entry)
    })
    session.on('goaway', () => {
      entry.leaving = true
      this.#sessions.delete(entry)
    })
    // Connections are half-open so that others may end their side first; here nothing more can be answered.
    stream.once('end', () => {
      entry.leaving = true
      this.#sessions.delete(entry)
      for (const exchange of entry.exchanges) exchange.connectionEnded()
      session.close()
    })
    session.on('timeout', () => {
      if (entry.exchanges.size === 0) session.close()
    })
    session.on('error', failed)
    session.once('close', () => {
      clearTimeout(timer)
      entry.leaving = true
      this.#sessions.delete(entry)
      failed()
    })
    promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    )
    return promise
  }
}

function hasRoom({ session, exchanges, leaving }: Session): boolean {
  if (leaving || session.closed || session.destroyed) return false
  return (
    exchanges.size <
    Math.min(maxStreamsPerSession, session.remoteSettings?.maxConcurrentStreams ?? maxStreamsPerSession)
  )
}
