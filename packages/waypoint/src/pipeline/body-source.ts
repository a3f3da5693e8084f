// Where a try gets the request's body from: nothing, bytes that are in memory, or the client's stream.
import { constants } from 'node:http2'
import type { Readable } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import { RequestBody } from './body.ts'
import { type Head, hasBody, type IncomingRequest } from './head.ts'
import { closeStream, type Responder } from './responder.ts'
import { forwardableTrailers } from './trailers.ts'

/** Bodies of a known length up to this are read before the first try: one write, and any number of tries. */
const smallBytes = 16_384
/** What is kept of a longer body, or of one whose length is not known, when the route asks for retries. */
const keptBytes = 65_536

export interface BodySource {
  /** Mirrors of a stream are to be taken before it is read, those of bytes after `prepare`. */
  readonly isStream: boolean
  readonly bytes: number
  readonly replayable: boolean
  /** What follows the body, once it has ended; absent where nothing can. */
  readonly trailers?: () => HeaderList
  /** Before the first `open`. */
  prepare(): Promise<void> | undefined
  /** The body from its start. */
  open(): Buffer | Readable | null
  /** A copy that does not slow the body down; null: there is no body. */
  mirror(): Buffer | Readable | null
  /** After the response: reads what is left within the limits, then gives it up, and with HTTP/1 the connection. */
  finish(linger: Linger): void
}

/** What is still read of a request after its response. Nothing is given up before the client has the whole of that. */
export interface Linger {
  /** Of HTTP/2, whose streams can be ended alone. HTTP/1 has to read on: a reset would take the response from the client. */
  readonly bytes: number
  /** Without a byte. */
  readonly quietMs: number
  readonly totalMs: number
  /** Whether the client has the whole of the response. */
  readonly isTaken: () => boolean
}

const noBody: BodySource = {
  isStream: false,
  bytes: 0,
  replayable: true,
  prepare: () => undefined,
  open: () => null,
  mirror: () => null,
  finish: () => {},
}

export function bodyFor(request: IncomingRequest, head: Head, responder: Responder, keeps: boolean): BodySource {
  if (!hasBody(request, head)) {
    // Nothing will come, but the stream has to be read to its end for the connection to go on.
    request.resume()
    return noBody
  }
  const length = head.contentLength
  const isSmall = length !== undefined && length <= smallBytes && !head.isHttp2
  // A client that waits for a 100 waits for the backend's.
  if (isSmall && !responder.awaitsContinue) return new SmallBody(request)
  return new StreamedBody(request, keeps ? keptBytes : 0)
}

class SmallBody implements BodySource {
  readonly isStream = false
  readonly #request: IncomingRequest
  #reading: Promise<void> | undefined
  #content: Buffer | undefined
  #bytes = 0

  constructor(request: IncomingRequest) {
    this.#request = request
  }

  get bytes(): number {
    return this.#bytes
  }

  readonly replayable = true

  prepare(): Promise<void> | undefined {
    if (this.#content !== undefined) return undefined
    return (this.#reading ??= this.#read())
  }

  #read(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const chunks: Buffer[] = []
    this.#request.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length
      chunks.push(chunk)
    })
    this.#request.once('end', () => {
      this.#content = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      resolve()
    })
    const onGone = (cause?: Error) =>
      reject(
        new MeshError('client-closed', 'the client went away in the middle of the body', { at: 'downstream', cause }),
      )
    this.#request.once('error', onGone)
    this.#request.once('close', () => onGone())
    return promise
  }

  open(): Buffer | null {
    return this.#content ?? null
  }

  mirror(): Buffer | null {
    return this.#content ?? null
  }

  finish(linger: Linger): void {
    if (this.#content !== undefined) return
    giveUpAfter(this.#request, linger, () => this.#bytes)
    this.#request.resume()
  }
}

class StreamedBody implements BodySource {
  readonly isStream = true
  readonly #request: IncomingRequest
  readonly #body: RequestBody

  constructor(request: IncomingRequest, kept: number) {
    this.#request = request
    this.#body = new RequestBody(request, kept)
  }

  get bytes(): number {
    return this.#body.bytes
  }

  get replayable(): boolean {
    return this.#body.replayable
  }

  prepare(): undefined {
    return undefined
  }

  readonly trailers = (): HeaderList => forwardableTrailers(this.#request.rawTrailers)

  open(): Readable {
    return this.#body.open()
  }

  mirror(): Readable {
    return this.#body.mirror()
  }

  finish(linger: Linger): void {
    if (this.#body.complete || this.#request.destroyed) return
    giveUpAfter(this.#request, linger, () => this.#body.bytes)
    const isHttp2 = 'stream' in this.#request
    void this.#body.discard(isHttp2 ? linger.bytes : Number.POSITIVE_INFINITY).then((ended) => {
      if (!ended) giveUp(this.#request)
    })
  }
}

function giveUpAfter(request: IncomingRequest, { quietMs, totalMs, isTaken }: Linger, received: () => number): void {
  let before = received()
  let lingeredMs = 0
  const timer = setInterval(() => {
    if (!isTaken()) return
    lingeredMs += quietMs
    const now = received()
    if (now === before || lingeredMs >= totalMs) giveUp(request)
    before = now
  }, quietMs)
  timer.unref()
  const stop = () => clearInterval(timer)
  request.once('end', stop)
  request.once('close', stop)
}

/** The response is whole: an HTTP/2 client is told that the rest is not needed (RFC 9113 §8.1). */
function giveUp(request: IncomingRequest): void {
  if ('stream' in request) closeStream(request.stream, constants.NGHTTP2_NO_ERROR)
  else request.destroy()
}
