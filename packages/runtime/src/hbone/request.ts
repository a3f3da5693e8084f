// A CONNECT request that waits for its answer.
import { MeshError } from '@wishbone/core/errors'
import { errorCodes, type HeaderField } from '@wishbone/core/h2'
import type { SpiffeId } from '@wishbone/core/identity'
import type { Session } from './session.ts'
import type { H2Stream } from './stream.ts'
import type { ConnectRequest, Headers, Tunnel } from './types.ts'

export class Request implements ConnectRequest {
  readonly #session: Session
  readonly #stream: H2Stream
  readonly #onAnswered: () => void
  #answered = false
  #abort: AbortController | undefined

  constructor(session: Session, stream: H2Stream, onAnswered: () => void) {
    this.#session = session
    this.#stream = stream
    this.#onAnswered = onAnswered
  }

  get streamId(): number {
    return this.#stream.streamId
  }

  get authority(): string {
    return this.#stream.authority
  }

  get headers(): Headers {
    return this.#stream.headers
  }

  get peer(): SpiffeId | undefined {
    return this.#session.peer
  }

  get remoteAddress(): string {
    return this.#session.remoteAddress
  }

  get remotePort(): number {
    return this.#session.remotePort
  }

  get localAddress(): string {
    return this.#session.socket.localAddress ?? ''
  }

  get localPort(): number {
    return this.#session.socket.localPort ?? 0
  }

  /** Made when first asked for: most requests are answered before anybody cares. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController()
      this.#abort = abort
      if (this.#stream.closed && !this.#answered) abort.abort(gone())
      else if (!this.#answered) this.#stream.onClosedEarly = (error) => abort.abort(error ?? gone())
    }
    return this.#abort.signal
  }

  accept(headers: Headers = {}): Tunnel {
    this.#answer()
    if (this.#stream.closed) throw gone()
    this.#session.sendHeaders(this.streamId, [[':status', '200'], ...Object.entries(headers)], false)
    return this.#stream
  }

  reject(status: number, headers: Headers = {}): void {
    const stream = this.#stream
    // What fails after the 200 can only break the tunnel.
    if (this.#answered) {
      stream.resetWith(errorCodes.internalError, new MeshError('internal', `status ${status}`))
      return
    }
    this.#answer()
    if (stream.closed) return
    const fields: HeaderField[] = [[':status', String(status)], ...Object.entries(headers)]
    this.#session.sendHeaders(this.streamId, fields, true)
    // The client need not send the rest (RFC 9113 §8.1).
    if (stream.remoteEnded) stream.fail(undefined)
    else stream.resetWith(errorCodes.noError, undefined)
  }

  #answer(): void {
    if (this.#answered) throw new Error('the request has been answered before')
    this.#answered = true
    this.#stream.onClosedEarly = undefined
    this.#onAnswered()
  }
}

function gone(): MeshError {
  return new MeshError('client-closed', 'the client has given the request up', { at: 'downstream' })
}
