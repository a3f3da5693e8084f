// The way back to the client, the same for HTTP/1.1 and HTTP/2. It writes; it decides nothing.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Stream } from 'node:http2'
import type { HeaderList } from '@wishbone/core/filters'

export interface Responder {
  readonly started: boolean
  /** The client is gone, or the response is complete. */
  readonly closed: boolean
  /** The client keeps its body back until it is told to send it. */
  readonly awaitsContinue: boolean
  /** A 1xx response. */
  informational(status: number, headers: HeaderList): void
  /** Asks a client that waits for it to send its body. */
  continue(): void
  /** With HTTP/1 the response is to be the last of its connection. Before `head`. */
  closeAfter(): void
  /** `ends`: no body and no trailers follow. Lower-case names come out as given. */
  head(status: number, headers: HeaderList, ends: boolean): void
  /** Bytes that the client has not taken yet. */
  readonly unsent: number
  /** The whole of the response has been taken from us. */
  readonly taken: boolean
  /** False: wait for `onDrain`. */
  data(chunk: Buffer): boolean
  end(trailers: HeaderList | null): void
  /** Breaks the response off so that the client can tell. */
  reset(): void
  /** `onDrain` may be called more than once. */
  onDrain(listener: () => void): void
  /** Called once, when the response is complete (`true`) or the client is gone. */
  onClose(listener: (complete: boolean) => void): void
}

/** How long a client may take to end a request whose body it was not asked for. */
const abandonMs = 1_000

export class Http1Responder implements Responder {
  readonly #response: ServerResponse
  readonly #mayContinue: boolean
  readonly closeConnection: () => boolean
  #continued = false
  #isLast = false

  constructor(request: IncomingMessage, response: ServerResponse, closeConnection: () => boolean) {
    this.#response = response
    // What it would tell is told by `close`.
    response.on('error', () => {})
    this.#mayContinue = request.headers.expect?.toLowerCase() === '100-continue' && request.httpVersionMinor >= 1
    this.closeConnection = closeConnection
  }

  get started(): boolean {
    return this.#response.headersSent
  }

  get closed(): boolean {
    return this.#response.destroyed || this.#response.writableFinished
  }

  get awaitsContinue(): boolean {
    return this.#mayContinue && !this.#continued && !this.#response.headersSent
  }

  get unsent(): number {
    return this.#response.socket?.writableLength ?? 0
  }

  get taken(): boolean {
    return this.#response.writableFinished
  }

  informational(status: number, headers: HeaderList): void {
    if (this.#response.headersSent || this.#response.req.httpVersionMinor < 1) return
    let lines = `HTTP/1.1 ${status} ${reasonOf(status)}\r\n`
    for (let i = 0; i < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`
    this.#response.socket?.write(`${lines}\r\n`, 'latin1')
  }

  continue(): void {
    if (!this.awaitsContinue) return
    this.#continued = true
    this.#response.writeContinue()
  }

  closeAfter(): void {
    this.#isLast = true
  }

  head(status: number, headers: HeaderList, ends: boolean): void {
    // A client that was not told to send its body may send it or not: the connection can't be used again.
    if (this.#isLast || this.awaitsContinue || this.closeConnection()) headers.push('connection', 'close')
    if (ends && !hasContentLength(headers) && bodyAllowed(status, this.#response.req.method))
      headers.push('content-length', '0')
    this.#response.writeHead(status, headers)
    if (ends) this.#response.end()
  }

  data(chunk: Buffer): boolean {
    return this.#response.write(chunk)
  }

  end(trailers: HeaderList | null): void {
    if (trailers !== null && trailers.length > 0 && this.#response.chunkedEncoding) {
      const pairs: [string, string][] = []
      for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!])
      this.#response.addTrailers(pairs)
    }
    this.#response.end()
  }

  reset(): void {
    this.#response.socket?.destroy()
    this.#response.destroy()
  }

  onDrain(listener: () => void): void {
    this.#response.on('drain', listener)
  }

  onClose(listener: (complete: boolean) => void): void {
    this.#response.once('close', () => listener(this.#response.writableFinished))
  }
}

export class Http2Responder implements Responder {
  readonly #stream: ServerHttp2Stream
  readonly #mayContinue: boolean
  #continued = false
  #ended = false
  #trailers: HeaderList = []

  constructor(request: Http2ServerRequest, response: Http2ServerResponse) {
    response.on('error', () => {})
    this.#stream = response.stream
    this.#mayContinue = request.headers.expect?.toLowerCase() === '100-continue'
  }

  get started(): boolean {
    return this.#stream.headersSent
  }

  get closed(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  get awaitsContinue(): boolean {
    return this.#mayContinue && !this.#continued && !this.closed && !this.#stream.headersSent
  }

  get unsent(): number {
    // Heads are behind what the connection has not taken, and counted nowhere.
    const ends = this.#ended && !this.closed ? 1 : 0
    return this.#stream.writableLength + ends
  }

  get taken(): boolean {
    return this.#ended && this.#stream.writableFinished
  }

  informational(status: number, headers: HeaderList): void {
    if (this.closed || this.#stream.headersSent || status === 101) return
    this.#stream.additionalHeaders({ ':status': status, ...fieldsOf(headers) })
  }

  continue(): void {
    if (!this.awaitsContinue) return
    this.#continued = true
    this.#stream.additionalHeaders({ ':status': 100 })
  }

  closeAfter(): void {}

  head(status: number, headers: HeaderList, ends: boolean): void {
    if (this.closed) return
    // A client that was not told to send its body gives the stream up by itself, or is made to.
    if (this.awaitsContinue)
      setTimeout(() => this.#ended && closeStream(this.#stream, constants.NGHTTP2_NO_ERROR), abandonMs).unref()
    const fields = [':status', String(status)]
    for (let i = 0; i < headers.length; i += 2) fields.push(headers[i]!.toLowerCase(), headers[i + 1]!)
    // In place of that of node's response, which throws where nobody catches at trailers that node does not send.
    this.#stream.removeAllListeners('wantTrailers').on('wantTrailers', () => this.#sendTrailers())
    this.#stream.respond(fields, ends ? { endStream: true } : { waitForTrailers: true })
    this.#ended = ends
  }

  data(chunk: Buffer): boolean {
    return this.closed ? true : this.#stream.write(chunk)
  }

  end(trailers: HeaderList | null): void {
    if (this.#ended || this.closed) return
    this.#ended = true
    this.#trailers = trailers ?? []
    this.#stream.end()
  }

  #sendTrailers(): void {
    try {
      this.#stream.sendTrailers(fieldsOf(this.#trailers))
    } catch {
      closeStream(this.#stream, constants.NGHTTP2_INTERNAL_ERROR)
    }
  }

  reset(): void {
    if (this.#stream.destroyed) return
    // A client may use a response that it has whole (RFC 9113 §8.1).
    closeStream(this.#stream, this.taken ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_INTERNAL_ERROR)
  }

  onDrain(listener: () => void): void {
    this.#stream.on('drain', listener)
  }

  onClose(listener: (complete: boolean) => void): void {
    this.#stream.once('close', () => listener(this.#ended && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR))
  }
}

/** Sends RST_STREAM. Behind what a client does not read it would wait for ever, and so would everything that the stream holds. */
export function closeStream(stream: ServerHttp2Stream, code: number): void {
  stream.close(code)
  setTimeout(() => stream.destroy(), abandonMs).unref()
}

function fieldsOf(headers: HeaderList): Record<string, string | string[]> {
  // Without a prototype: "constructor" and "__proto__" are names that a backend may send.
  const fields: Record<string, string | string[]> = Object.create(null)
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const known = fields[name]
    fields[name] = known === undefined ? headers[i + 1]! : [known, headers[i + 1]!].flat()
  }
  return fields
}

function reasonOf(status: number): string {
  return status === 103 ? 'Early Hints' : status === 102 ? 'Processing' : 'Informational'
}

function hasContentLength(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i]!.length === 14 && headers[i]!.toLowerCase() === 'content-length') return true
  return false
}

function bodyAllowed(status: number, method: string | undefined): boolean {
  return status >= 200 && status !== 204 && status !== 304 && method !== 'HEAD'
}
