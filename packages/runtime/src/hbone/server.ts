// The server's side of a session: CONNECT requests come in, each is accepted or rejected.
import type tls from 'node:tls'
import type { MeshError } from '@wishbone/core/errors'
import { errorCodes, H2Error, type HeaderField } from '@wishbone/core/h2'
import type { SpiffeId } from '@wishbone/core/identity'
import { malformed, messageOf } from './headers.ts'
import { Request } from './request.ts'
import type { SessionRole } from './role.ts'
import { Session } from './session.ts'
import { serverDefaults } from './settings.ts'
import type { H2Stream } from './stream.ts'
import type { AcceptHboneOptions, HboneServerSession } from './types.ts'

/**
 * Speaks HBONE on an accepted TLS connection (`acceptTls`). Takes the socket over. Requests other than CONNECT are answered with 400
 * and never seen by `onConnect`.
 */
export function acceptHbone(socket: tls.TLSSocket, options: AcceptHboneOptions): HboneServerSession {
  return new ServerSession(socket, options)
}

class ServerSession implements SessionRole, HboneServerSession {
  readonly kind = 'server'
  readonly closed: Promise<void>
  readonly #options: AcceptHboneOptions
  readonly #session: Session
  readonly #waiting = new Set<H2Stream>()
  #onClosed: (() => void) | undefined
  /** The limit of streams was reached and logged. */
  #wasFull = false

  constructor(socket: tls.TLSSocket, options: AcceptHboneOptions) {
    this.#options = options
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve
    })
    this.#session = new Session(socket, this, { ...serverDefaults, ...options.settings }, options.log)
  }

  get peer(): SpiffeId | undefined {
    return this.#session.peer
  }

  get streams(): number {
    return this.#session.streams.size
  }

  drain(): Promise<void> {
    this.#session.drain()
    return this.closed
  }

  close(reason: MeshError): void {
    this.#session.fail(errorCodes.noError, reason.message, reason)
  }

  headers(streamId: number, fields: readonly HeaderField[], endStream: boolean): void {
    const session = this.#session
    const open = session.streams.get(streamId)
    if (open !== undefined) {
      if (!endStream) throw malformed('trailers that do not end the stream', streamId)
      open.receiveEnd()
      return
    }
    if (!this.#opens(streamId)) return
    const { pseudo, headers } = messageOf(fields, streamId)
    const stream = session.addStream(streamId, pseudo[':authority'] ?? '')
    stream.headers = headers
    if (endStream) stream.receiveEnd()
    const request = new Request(session, stream, () => this.#waiting.delete(stream))
    if (pseudo[':method'] !== 'CONNECT' || ':path' in pseudo || stream.authority === '') {
      // As cheap for a client as a reset, and as useless for us.
      session.countReset()
      this.#refused(400, 'not a CONNECT request with an authority')
      request.reject(400)
      return
    }
    this.#waiting.add(stream)
    this.#options.onConnect(request)
  }

  headersTooLarge(streamId: number): void {
    if (this.#session.streams.has(streamId)) throw malformed('trailers larger than allowed', streamId)
    if (!this.#opens(streamId)) return
    this.#refused(431, 'the headers are larger than the limit')
    new Request(this.#session, this.#session.addStream(streamId, ''), () => undefined).reject(431)
  }

  streamReset(stream: H2Stream): void {
    // Accepting at once is no defence: a tunnel that carried nothing was opened for nothing.
    const unused = stream.received === 0 && stream.sent === 0
    if (this.#waiting.delete(stream) || unused) this.#session.countReset()
  }

  sessionClosed(error: MeshError | undefined): void {
    this.#onClosed?.()
    this.#options.onClose?.(error)
  }

  /** Whether a block on a stream that is not open opens one that is served. */
  #opens(streamId: number): boolean {
    const session = this.#session
    if ((streamId & 1) === 0)
      throw new H2Error(errorCodes.protocolError, `the client opens stream ${streamId}, which is even`)
    if (streamId <= session.lastPeerStream) return false // left over from a stream that is closed
    session.lastPeerStream = streamId
    if (session.acceptsStreams && session.streams.size < session.settings.maxStreams) return true
    if (session.acceptsStreams) {
      session.countReset()
      if (!this.#wasFull) this.#refused(undefined, `more than ${session.settings.maxStreams} streams at once`)
      this.#wasFull = true
    }
    session.sendReset(streamId, errorCodes.refusedStream)
    return false
  }

  #refused(status: number | undefined, reason: string): void {
    this.#options.log?.warn('an HBONE request was refused', { peer: this.#session.remoteAddress, status, reason })
  }
}
