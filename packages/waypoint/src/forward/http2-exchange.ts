// One stream of an HTTP/2 session with a backend.
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import {
  type Exchange,
  type ExchangeFailure,
  type ExchangeHandler,
  isConnectionHeader,
  type UpstreamRequest,
} from './exchange.ts'

const endStreamFlag = constants.NGHTTP2_FLAG_END_STREAM

export class Http2Exchange implements Exchange {
  readonly #request: UpstreamRequest
  readonly #scheme: string
  readonly #handler: ExchangeHandler
  readonly #onDone: () => void
  #stream: ClientHttp2Stream | undefined
  #trailers: HeaderList | null = null
  #reused = false
  /** The backend has said that the response ends, with END_STREAM. */
  #isWhole = false
  /** And all of it has been read. */
  #ended = false
  #done = false

  constructor(request: UpstreamRequest, scheme: string, handler: ExchangeHandler, onDone: () => void) {
    this.#request = request
    this.#scheme = scheme
    this.#handler = handler
    this.#onDone = onDone
  }

  /** Opens the stream; `onClose` is called when it no longer counts. */
  begin(session: ClientHttp2Session, reusedConnection: boolean, onClose: () => void): void {
    if (this.#done) {
      onClose()
      return
    }
    const { body, trailers } = this.#request
    const waitForTrailers = trailers !== undefined && body !== null && !Buffer.isBuffer(body)
    let stream: ClientHttp2Stream
    try {
      stream = session.request(this.#fields(), { endStream: body === null, waitForTrailers })
    } catch (cause) {
      onClose()
      const sessionGone = session.closed || session.destroyed
      this.fail(
        sessionGone
          ? { kind: 'connect', error: reset('the session ended before the request', cause), reusedConnection }
          : {
              kind: 'request',
              error: new MeshError('bad-request', 'the request cannot be sent', { at: 'downstream', cause }),
              reusedConnection,
            },
      )
      return
    }
    this.#stream = stream
    this.#reused = reusedConnection
    const push = stream.push.bind(stream)
    // node ends the content of a stream that is reset too, and the code may be that of none; but it has closed the stream by then.
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#isWhole = true
      return push(chunk, encoding)
    }
    stream.on('headers', (_headers, _flags, raw) => {
      const [status, headers] = split(raw as unknown as readonly string[])
      if (!this.#done) this.#handler.onInformational(status, headers)
    })
    stream.on('response', (_headers, flags, raw) => {
      const [status, headers] = split(raw as unknown as readonly string[])
      if (!this.#done) this.#handler.onHead(status, headers, (flags & endStreamFlag) !== 0)
      // Not before: node announces the head in a later tick, and over a Duplex the first bytes would overtake it.
      stream.on('data', (chunk: Buffer) => {
        if (!this.#done && !this.#handler.onData(chunk)) stream.pause()
      })
    })
    stream.on('trailers', (_headers, _flags, raw) => {
      this.#trailers = split(raw as unknown as readonly string[])[1]
    })
    if (waitForTrailers) stream.on('wantTrailers', () => sendTrailers(stream, trailers()))
    stream.on('end', () => {
      if (!this.#isWhole) return
      this.#ended = true
      // The response is whole, so the rest of the request is not wanted. Trailers may still be announced in this turn.
      if (!stream.writableEnded) setImmediate(() => this.#leave(stream))
    })
    let error: Error | undefined
    stream.on('error', (cause) => {
      error = cause
    })
    stream.on('close', () => {
      onClose()
      this.#onClosed(stream, error)
    })
    if (body === null) return
    if (Buffer.isBuffer(body)) stream.end(body)
    else {
      body.pipe(stream)
      body.once('error', () => {
        if (!stream.writableEnded) stream.close(constants.NGHTTP2_CANCEL)
      })
      stream.once('close', () => body.destroy())
    }
  }

  resume(): void {
    this.#stream?.resume()
  }

  abort(): void {
    if (!this.#finish()) return
    if (this.#stream !== undefined) {
      this.#stream.resume()
      this.#stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** Nothing more comes; what came may still be on its way to the client. */
  connectionEnded(): void {
    if (this.#isWhole || this.#stream === undefined || this.#stream.closed) return
    this.fail({ kind: 'reset', error: reset('the backend closed the connection'), reusedConnection: this.#reused })
    this.#stream.destroy()
  }

  fail(failure: ExchangeFailure): void {
    if (this.#finish()) this.#handler.onError(failure)
  }

  #leave(stream: ClientHttp2Stream): void {
    if (this.#finish()) this.#handler.onEnd(this.#trailers)
    stream.close(constants.NGHTTP2_CANCEL)
  }

  #onClosed(stream: ClientHttp2Stream, error: Error | undefined): void {
    const code = stream.rstCode ?? constants.NGHTTP2_NO_ERROR
    // A server may reset with NO_ERROR after a complete response that did not need the whole request (RFC 9113 §8.1).
    if (this.#ended && code === constants.NGHTTP2_NO_ERROR) {
      if (this.#finish()) this.#handler.onEnd(this.#trailers)
      return
    }
    const refused = code === constants.NGHTTP2_REFUSED_STREAM
    const message = refused ? 'the backend refused the stream' : `the backend reset the stream with code ${code}`
    this.fail({ kind: refused ? 'connect' : 'reset', error: reset(message, error), reusedConnection: this.#reused })
  }

  #fields(): string[] {
    const { method, target, authority, headers, acceptsTrailers, expectsContinue } = this.#request
    const fields = [':method', method, ':scheme', this.#scheme, ':authority', authority, ':path', target]
    for (let i = 0; i < headers.length; i += 2) fields.push(headers[i]!.toLowerCase(), headers[i + 1]!)
    if (acceptsTrailers) fields.push('te', 'trailers')
    if (expectsContinue) fields.push('expect', '100-continue')
    return fields
  }

  #finish(): boolean {
    if (this.#done) return false
    this.#done = true
    this.#onDone()
    return true
  }
}

/** Without any the stream is ended all the same. */
function sendTrailers(stream: ClientHttp2Stream, list: HeaderList): void {
  // Without a prototype: "constructor" and "__proto__" are names that a client may send.
  const trailers: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < list.length; i += 2) (trailers[list[i]!.toLowerCase()] ??= []).push(list[i + 1]!)
  try {
    stream.sendTrailers(trailers)
  } catch {
    stream.close(constants.NGHTTP2_CANCEL)
  }
}

function reset(message: string, cause?: unknown): MeshError {
  return new MeshError('backend-reset', message, { at: 'upstream', cause })
}

/** Status and headers; pseudo-headers and what belongs to the connection are left out. */
function split(raw: readonly string[]): [status: number, headers: HeaderList] {
  let status = 0
  const headers: HeaderList = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    if (name === ':status') status = Number(raw[i + 1])
    else if (name.charCodeAt(0) !== 0x3a && !isConnectionHeader(name)) headers.push(name, raw[i + 1]!)
  }
  return [status, headers]
}
