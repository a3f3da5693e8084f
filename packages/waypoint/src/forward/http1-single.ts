// One HTTP/1.1 request on a connection of its own, by node:http, for what undici cannot send: trailers, and a body that the
// backend is asked about first.
import http from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import {
  type Exchange,
  type ExchangeFailure,
  type ExchangeHandler,
  responseHeaders,
  type UpstreamRequest,
} from './exchange.ts'
import { brokenCoding } from './response-rules.ts'

export function needsOwnConnection(request: UpstreamRequest): boolean {
  return request.expectsContinue || announcesTrailers(request)
}

/** Whether a request over HTTP/1.1 has trailers to wait for: they must be announced (RFC 9110 §6.6.2). */
function announcesTrailers({ headers, trailers, body }: UpstreamRequest): boolean {
  if (trailers === undefined || body === null || Buffer.isBuffer(body)) return false
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'trailer') return true
  return false
}

export class Http1SingleExchange implements Exchange {
  readonly #handler: ExchangeHandler
  #response: http.IncomingMessage | undefined
  #stream: Duplex | undefined
  #done = false

  constructor(request: UpstreamRequest, handler: ExchangeHandler, dial: () => Promise<Duplex>) {
    this.#handler = handler
    dial().then(
      (stream) => {
        if (this.#done) stream.destroy()
        else this.#send(request, stream)
      },
      (cause: unknown) => this.#fail('connect', MeshError.from(cause, 'connect-failed', { at: 'upstream' })),
    )
  }

  resume(): void {
    this.#response?.resume()
  }

  abort(): void {
    this.#done = true
    this.#stream?.destroy()
  }

  #send(request: UpstreamRequest, stream: Duplex): void {
    this.#stream = stream
    const { method, target, authority, headers, acceptsTrailers, expectsContinue } = request
    const trailers = announcesTrailers(request) ? request.trailers : undefined
    const fields = ['host', authority]
    // Trailers need chunks, and chunks exclude a length.
    let isChunked = true
    for (let i = 0; i < headers.length; i += 2) {
      const isLength = headers[i]!.toLowerCase() === 'content-length'
      if (isLength && trailers !== undefined) continue
      if (isLength) isChunked = false
      fields.push(headers[i]!, headers[i + 1]!)
    }
    if (isChunked) fields.push('transfer-encoding', 'chunked')
    if (acceptsTrailers) fields.push('te', 'trailers')
    // With it node sends the head at once, without waiting for the body.
    if (expectsContinue) fields.push('expect', '100-continue')
    try {
      const outgoing = http.request({
        createConnection: () => stream,
        setHost: false,
        method,
        path: target,
        headers: fields,
      })
      outgoing.on('information', ({ statusCode, rawHeaders }) => {
        if (!this.#done) this.#handler.onInformational(statusCode, responseHeaders(rawHeaders))
      })
      outgoing.on('response', (response) => this.#onResponse(response))
      outgoing.on('upgrade', () =>
        this.#fail(
          'protocol',
          new MeshError('backend-protocol', 'the backend sent what was not asked for', { at: 'upstream' }),
        ),
      )
      outgoing.on('error', (cause) =>
        this.#fail(
          'reset',
          new MeshError('backend-reset', 'the backend closed the connection', { at: 'upstream', cause }),
        ),
      )
      const body = request.body as Readable
      body.on('data', (chunk) => {
        if (!outgoing.write(chunk)) body.pause()
      })
      outgoing.on('drain', () => body.resume())
      body.once('end', () => {
        if (trailers !== undefined) outgoing.addTrailers(pairsOf(trailers()))
        outgoing.end()
      })
      body.once('error', () => outgoing.destroy())
      outgoing.once('close', () => body.destroy())
    } catch (cause) {
      this.#fail('request', new MeshError('bad-request', 'the request cannot be sent', { at: 'downstream', cause }))
    }
  }

  #onResponse(response: http.IncomingMessage): void {
    this.#response = response
    if (this.#done) return
    const broken = brokenCoding(response.headers['transfer-encoding'])
    if (broken !== undefined) return void this.#fail('protocol', broken)
    this.#handler.onHead(response.statusCode ?? 502, responseHeaders(response.rawHeaders), false)
    response.on('data', (chunk: Buffer) => {
      if (!this.#done && !this.#handler.onData(chunk)) response.pause()
    })
    response.once('end', () => {
      if (this.#done) return
      this.#done = true
      const list = responseHeaders(response.rawTrailers)
      this.#handler.onEnd(list.length > 0 ? list : null)
      this.#stream?.destroy()
    })
    response.once('error', (cause) =>
      this.#fail('reset', new MeshError('backend-reset', 'the response was cut off', { at: 'upstream', cause })),
    )
  }

  #fail(kind: ExchangeFailure['kind'], error: MeshError): void {
    if (this.#done) return
    this.#done = true
    this.#stream?.destroy()
    this.#handler.onError({ kind, error, reusedConnection: false })
  }
}

function pairsOf(list: HeaderList): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < list.length; i += 2) pairs.push([list[i]!, list[i + 1]!])
  return pairs
}
