// The client's side of a session: CONNECT requests go out, each waits for its status.
import type tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { errorCodes, type HeaderField } from '@wishbone/core/h2'
import { http2Parameters } from '@wishbone/core/hbone'
import { malformed, messageOf } from './headers.ts'
import type { SessionRole } from './role.ts'
import { Session } from './session.ts'
import { clientDefaults } from './settings.ts'
import type { H2Stream } from './stream.ts'
import type { Headers, SessionLog, SessionSettings, Tunnel } from './types.ts'

/** The server answered a CONNECT with another status than 200. */
export class HboneStatusError extends MeshError {
  readonly status: number
  readonly headers: Headers

  constructor(status: number, authority: string, headers: Headers) {
    const hint = hints[status]
    super('connect-failed', `CONNECT ${authority} was answered with ${status}`, {
      at: 'upstream',
      ...(hint && { hint }),
    })
    this.status = status
    this.headers = headers
  }
}

/** What a destination means by its statuses (ambient wire §1.3). */
const hints: Readonly<Record<number, string>> = {
  400: 'the destination does not serve that address; did the pod get a new one?',
  401: 'an authorization policy of the destination denied the connection',
  404: 'the waypoint does not serve that destination',
  503: 'the destination could not connect to its application, or does not know its own workload yet',
}

export interface ClientSessionOptions {
  readonly settings?: Partial<SessionSettings>
  readonly log?: SessionLog
  /** Streams that the peer takes at once, as far as is known before its SETTINGS. Default any number. */
  readonly peerMaxStreams?: number
  /** How long a request waits for its answer; default 30 s. */
  readonly answerTimeoutMs?: number
  /** The session has a place again, or takes no new streams any more. */
  onChange?(): void
}

export interface HboneClientSession {
  /** Streams open now. */
  readonly streams: number
  /** Streams that may be opened besides; 0 once the session is draining. */
  readonly room: number
  /** Whether a stream was ever opened. */
  readonly used: boolean
  /** Streams that the peer takes at once. */
  readonly peerMaxStreams: number
  /**
   * Sends CONNECT and waits for 200. Rejects with HboneStatusError for other statuses, MeshError `overloaded` when there is no room,
   * `connect-timeout` when there is no answer for too long, `backend-reset` or `draining` when the stream or session ends before the answer, or the signal's reason.
   */
  open(authority: string, headers: Headers, signal?: AbortSignal): Promise<Tunnel>
  /** No new streams; closes when the open ones have finished. */
  drain(): Promise<void>
  close(reason: MeshError): void
  readonly closed: Promise<void>
}

/** One session that no pool shares: for HBONE inside HBONE, and for the pool itself. Takes the TLS connection over (`connectTls`). */
export function connectHbone(socket: tls.TLSSocket, options: ClientSessionOptions = {}): HboneClientSession {
  return new ClientSession(socket, options)
}

interface Waiting {
  resolve(tunnel: Tunnel): void
  reject(error: MeshError): void
}

const lastStreamId = 0x7fff_ffff

function noAnswer(authority: string, timeoutMs: number): MeshError {
  return new MeshError('connect-timeout', `CONNECT ${authority} was not answered within ${timeoutMs} ms`, {
    at: 'upstream',
    hint: 'the connection to the peer stands, but its proxy does not go on',
  })
}

class ClientSession implements SessionRole, HboneClientSession {
  readonly kind = 'client'
  readonly closed: Promise<void>
  readonly #options: ClientSessionOptions
  readonly #session: Session
  readonly #waiting = new Map<number, Waiting>()
  #onClosed: (() => void) | undefined

  constructor(socket: tls.TLSSocket, options: ClientSessionOptions) {
    this.#options = options
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve
    })
    this.#session = new Session(socket, this, { ...clientDefaults, ...options.settings }, options.log)
    if (options.peerMaxStreams !== undefined) this.#session.peerMaxStreams = options.peerMaxStreams
  }

  get streams(): number {
    return this.#session.streams.size
  }

  get room(): number {
    const { state, settings, peerMaxStreams, streams, lastOwnStream } = this.#session
    if (state !== 'open' || lastOwnStream >= lastStreamId - 2) return 0
    return Math.max(0, Math.min(settings.maxStreams, peerMaxStreams) - streams.size)
  }

  get used(): boolean {
    return this.#session.lastOwnStream > 0
  }

  get peerMaxStreams(): number {
    return this.#session.peerMaxStreams
  }

  open(authority: string, headers: Headers, signal?: AbortSignal): Promise<Tunnel> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.room === 0)
        throw new MeshError('overloaded', 'the session has no room for another stream', {
          at: 'upstream',
          retry: 'yes',
        })
      const session = this.#session
      const streamId = session.lastOwnStream === 0 ? 1 : session.lastOwnStream + 2
      const fields: HeaderField[] = [[':method', 'CONNECT'], [':authority', authority], ...Object.entries(headers)]
      session.sendHeaders(streamId, fields, false)
      session.lastOwnStream = streamId
      const stream = session.addStream(streamId, authority)
      const onAbort = () => stream.resetWith(errorCodes.cancel, MeshError.from(signal?.reason, 'client-closed'))
      signal?.addEventListener('abort', onAbort)
      const timeoutMs = this.#options.answerTimeoutMs ?? http2Parameters.answerTimeoutMs
      const timer = setTimeout(() => stream.resetWith(errorCodes.cancel, noAnswer(authority, timeoutMs)), timeoutMs)
      const settled = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#waiting.delete(streamId)
        stream.onClosedEarly = undefined
      }
      stream.onClosedEarly = (error) => {
        settled()
        reject(
          error ?? new MeshError('backend-reset', 'the peer ended the stream before it answered', { at: 'upstream' }),
        )
      }
      this.#waiting.set(streamId, {
        resolve: (tunnel) => {
          settled()
          resolve(tunnel)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      })
    })
  }

  drain(): Promise<void> {
    if (this.#session.state === 'open') {
      this.#session.drain()
      this.#options.onChange?.()
    }
    return this.closed
  }

  close(reason: MeshError): void {
    this.#session.fail(errorCodes.noError, reason.message, reason)
  }

  headers(streamId: number, fields: readonly HeaderField[], endStream: boolean): void {
    const stream = this.#session.streams.get(streamId)
    if (stream === undefined) return // of a stream that we have closed
    const waiting = this.#waiting.get(streamId)
    if (waiting !== undefined) this.#answer(stream, waiting, fields, endStream)
    else if (endStream) stream.receiveEnd()
    else throw malformed('trailers that do not end the stream', streamId)
  }

  headersTooLarge(streamId: number): void {
    const error = new MeshError('headers-too-large', 'the answer has larger headers than allowed', { at: 'upstream' })
    this.#session.streams.get(streamId)?.resetWith(errorCodes.cancel, error)
  }

  streamRemoved(): void {
    this.#options.onChange?.()
  }

  draining(): void {
    this.#options.onChange?.()
  }

  sessionClosed(): void {
    this.#onClosed?.()
  }

  #answer(stream: H2Stream, waiting: Waiting, fields: readonly HeaderField[], endStream: boolean): void {
    const { pseudo, headers } = messageOf(fields, stream.streamId)
    const status = Number(pseudo[':status'])
    if (!Number.isInteger(status) || status < 100 || status > 599)
      throw malformed('an answer without a status', stream.streamId)
    if (status < 200) {
      if (endStream) throw malformed(`a ${status} that ends the stream`, stream.streamId)
      return
    }
    if (status !== 200) {
      waiting.reject(new HboneStatusError(status, stream.authority, headers))
      stream.resetWith(errorCodes.cancel, undefined)
      return
    }
    stream.headers = headers
    stream.handedOver = true
    waiting.resolve(stream)
    if (endStream) stream.receiveEnd()
  }
}
