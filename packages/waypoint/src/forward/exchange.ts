// The narrow interface between the pipeline and whatever carries a request to a backend: HTTP/1.1 or HTTP/2, over TCP,
// TLS or a tunnel. An exchange never throws and calls its handler's last method (onEnd or onError) exactly once.
import type { Readable } from 'node:stream'
import type { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'

export interface UpstreamRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** Host or :authority. */
  readonly authority: string
  /** Without Host and without headers of the connection. */
  readonly headers: HeaderList
  readonly body: Buffer | Readable | null
  readonly acceptsTrailers: boolean
  /** The client sends its body only when it is told 100, which the backend decides (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean
  /** What follows the body, to be asked for when it has ended. Absent: nothing can. */
  readonly trailers?: (() => HeaderList) | undefined
}

export interface ExchangeFailure {
  /**
   * connect: nothing was sent. reset: the connection or stream ended. protocol: what came is not HTTP.
   * request: what was to be sent is not sendable, or the client stopped sending it.
   */
  readonly kind: 'connect' | 'reset' | 'protocol' | 'request'
  readonly error: MeshError
  readonly reusedConnection: boolean
}

export interface ExchangeHandler {
  onInformational(status: number, headers: HeaderList): void
  /** `ends`: neither body nor trailers follow; `onEnd` still comes. */
  onHead(status: number, headers: HeaderList, ends: boolean): void
  /** False: no more until `Exchange.resume`. */
  onData(chunk: Buffer): boolean
  onEnd(trailers: HeaderList | null): void
  onError(failure: ExchangeFailure): void
}

export interface Exchange {
  resume(): void
  /** Nothing more is called afterwards. */
  abort(): void
}

const connectionHeaders = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** Whether a response header belongs to the connection with the backend only. */
export function isConnectionHeader(lowerName: string): boolean {
  return lowerName.length <= 17 && connectionHeaders.has(lowerName)
}

const usualConnection = /^(?:keep-alive|close|upgrade)$/i

/** Names of headers that Connection says are the connection's too (RFC 9110 §7.6.1); null: none beyond the usual ones. */
export function connectionOptions(connection: string | undefined): ReadonlySet<string> | null {
  if (connection === undefined || usualConnection.test(connection)) return null
  return new Set(connection.split(',').map((option) => option.trim().toLowerCase()))
}

/** The headers of a response to pass on, from names and values in turn as node gives them. */
export function responseHeaders(raw: readonly string[]): HeaderList {
  const headers: HeaderList = []
  let options: ReadonlySet<string> | null = null
  for (let i = 0; i < raw.length; i += 2)
    if (raw[i]!.toLowerCase() === 'connection') options = connectionOptions(raw[i + 1])
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!isConnectionHeader(name) && !options?.has(name)) headers.push(raw[i]!, raw[i + 1]!)
  }
  return headers
}
