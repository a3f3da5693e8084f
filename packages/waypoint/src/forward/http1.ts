// HTTP/1.1 towards one endpoint, by undici. One pool of connections per endpoint; a connection carries one request at a time.
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import { Client, type Dispatcher, Pool } from 'undici'
import {
  connectionOptions,
  type Exchange,
  type ExchangeFailure,
  type ExchangeHandler,
  isConnectionHeader,
  type UpstreamRequest,
} from './exchange.ts'
import { brokenCoding } from './response-rules.ts'

const idleConnectionMs = 30_000
const maxHeaderBytes = 65_536

export class Http1Pool {
  readonly #pool: Pool
  /**
   * A connection is being told of its error. undici takes a reset for the end of a response that has no other (its
   * onHttpSocketError), and nobody can tell what is missing of it (RFC 9112 §8).
   */
  isBreaking = false
  /** For the sweep of unused pools. */
  lastUsedMs = 0
  inFlight = 0

  constructor(dial: () => Promise<Duplex>) {
    this.#pool = new Pool('http://endpoint', {
      pipelining: 1,
      allowH2: false,
      // The pipeline has timeouts of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      maxHeaderSize: maxHeaderBytes,
      factory: (origin, options) => new Connection(origin, options),
      connect: (_options, callback) => {
        dial().then(
          (stream) => {
            // Around undici's own listener, which is called in between.
            stream.on('error', () => {
              this.isBreaking = true
            })
            // undici's type asks for a net.Socket; it uses of it what a Duplex has.
            callback(null, stream as import('node:net').Socket)
            stream.on('error', () => {
              this.isBreaking = false
            })
          },
          (cause: unknown) => callback(MeshError.from(cause, 'connect-failed', { at: 'upstream' }), null),
        )
      },
    })
  }

  dispatch(request: UpstreamRequest, handler: ExchangeHandler): Exchange {
    const exchange = new Http1Exchange(handler, this)
    this.inFlight++
    const headers = ['host', request.authority, ...request.headers]
    if (request.acceptsTrailers) headers.push('te', 'trailers')
    this.#pool.dispatch(
      { path: request.target, method: request.method as Dispatcher.HttpMethod, headers, body: request.body },
      exchange,
    )
    return exchange
  }

  released(): void {
    this.inFlight--
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** One connection of a pool, which undici makes anew when it is lost. */
class Connection extends Client {
  /** A response has come on it: its end may have been on its way when the next request went out (RFC 9112 §9.3.1). */
  isUsed = false

  constructor(origin: URL, options: object) {
    super(origin, options)
    this.on('connect', () => {
      this.isUsed = false
    })
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof Http1Exchange) handler.connection = this
    return super.dispatch(options, handler)
  }
}

class Http1Exchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #handler: ExchangeHandler
  readonly #pool: Http1Pool
  /** The one that is to carry it. */
  connection: Connection | undefined
  #reused = false
  #controller: Dispatcher.DispatchController | undefined
  #done = false
  #aborted = false

  constructor(handler: ExchangeHandler, pool: Http1Pool) {
    this.#handler = handler
    this.#pool = pool
  }

  resume(): void {
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#done) return
    this.#aborted = true
    this.#finish()
    this.#controller?.abort(new Error('aborted'))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#reused = this.connection?.isUsed ?? false
    if (this.#aborted) controller.abort(new Error('aborted'))
  }

  onRequestUpgrade(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    fields: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#done) return
    const headers = listOf(fields)
    const broken = brokenCoding(fields['transfer-encoding'])
    if (broken !== undefined) {
      this.abort()
      this.#handler.onError({ kind: 'protocol', error: broken, reusedConnection: this.#reused })
      return
    }
    if (status < 200) {
      this.#handler.onInformational(status, headers)
      return
    }
    if (this.connection !== undefined) this.connection.isUsed = true
    this.#handler.onHead(status, headers, false)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#done && !this.#handler.onData(chunk)) controller.pause()
  }

  onResponseEnd(
    _controller: Dispatcher.DispatchController,
    trailers: Record<string, string | string[] | undefined>,
  ): void {
    if (!this.#finish()) return
    if (this.#pool.isBreaking) {
      const error = new MeshError('backend-reset', cutOff, { at: 'upstream' })
      this.#handler.onError({ kind: 'reset', error, reusedConnection: this.#reused })
      return
    }
    const list = listOf(trailers)
    this.#handler.onEnd(list.length > 0 ? list : null)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#finish()) this.#handler.onError(failureOf(error, this.#reused))
  }

  /** True the first time. */
  #finish(): boolean {
    if (this.#done) return false
    this.#done = true
    this.#pool.released()
    return true
  }
}

function listOf(fields: Record<string, string | string[] | undefined>): HeaderList {
  const headers: HeaderList = []
  const { connection } = fields
  const options = connection === undefined ? null : connectionOptions(String(connection))
  for (const name in fields) {
    if (isConnectionHeader(name) || options?.has(name)) continue
    const value = fields[name]
    if (typeof value === 'string') headers.push(name, value)
    else if (value !== undefined) for (const line of value) headers.push(name, line)
  }
  return headers
}

const cutOff = 'the backend closed the connection before its response was complete'

/** undici's words for a 101 or 100 that nobody asked for. */
const unaskedFor = /^bad (?:upgrade|response)$/

function failureOf(error: Error & { readonly code?: string }, reusedConnection: boolean): ExchangeFailure {
  if (error instanceof MeshError) return { kind: 'connect', error, reusedConnection: false }
  if (error.code === 'UND_ERR_SOCKET' && unaskedFor.test(error.message)) {
    const message = 'the backend sent what was not asked for'
    const mesh = new MeshError('backend-protocol', message, { at: 'upstream', cause: error })
    return { kind: 'protocol', error: mesh, reusedConnection }
  }
  switch (error.code) {
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH': {
      const mesh = new MeshError('bad-request', 'the request cannot be forwarded', { at: 'downstream', cause: error })
      return { kind: 'request', error: mesh, reusedConnection }
    }
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
    case 'EPIPE': {
      return {
        kind: 'reset',
        error: new MeshError('backend-reset', cutOff, { at: 'upstream', cause: error }),
        reusedConnection,
      }
    }
    default: {
      const mesh = new MeshError('backend-protocol', 'the response is not valid HTTP', { at: 'upstream', cause: error })
      return { kind: error.name === 'HTTPParserError' ? 'protocol' : 'reset', error: mesh, reusedConnection }
    }
  }
}
