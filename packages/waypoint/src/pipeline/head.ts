// The head of a request, as matching, filters and forwarding see it. Nothing is normalised.
import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { HeaderList } from '@wishbone/core/filters'
import type { IpBytes } from '@wishbone/core/ip'
import type { RequestHead } from '@wishbone/core/matching'
import { connectionOptions } from '../forward/exchange.ts'

export type IncomingRequest = IncomingMessage | Http2ServerRequest

/** The values of a name, which may have one only. */
interface Repetition {
  readonly first: string
  all: string
}

export class Head implements RequestHead {
  readonly method: string
  /** As received: path and query. */
  readonly target: string
  readonly path: string
  readonly query: string
  readonly authority: string
  readonly host: string
  readonly isHttp2: boolean
  /** As received, without pseudo-headers. */
  readonly rawHeaders: readonly string[]
  /** The client's address where trusted proxies say it; undefined: the connection's. */
  remoteIp: IpBytes | undefined
  readonly #headers: Readonly<Record<string, string | string[] | undefined>>
  #isRepetitive: boolean | undefined
  #repetitions: ReadonlyMap<string, Repetition> | undefined

  constructor(request: IncomingRequest) {
    // By what it came over, and not by what a first line says.
    this.isHttp2 = 'stream' in request
    this.method = request.method ?? 'GET'
    this.#headers = request.headers
    this.rawHeaders = request.rawHeaders
    let target = request.url ?? '/'
    let authority = this.isHttp2 ? ((request as Http2ServerRequest).authority ?? '') : ''
    if (authority === '') authority = this.header('host') ?? ''
    if (!this.isHttp2 && target.charCodeAt(0) !== 0x2f) {
      // Absolute form (RFC 9112 §3.2.2): its authority wins over Host. A :path never has it (RFC 9113 §8.3.1).
      const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
      if (absolute !== null) {
        authority = absolute[1]!
        target = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
      }
    }
    const question = target.indexOf('?')
    this.target = target
    this.path = question < 0 ? target : target.slice(0, question)
    this.query = question < 0 ? '' : target.slice(question + 1)
    this.authority = authority
    this.host = hostOf(authority)
  }

  /** Several fields of a name are joined, as everybody may do who reads them (RFC 9110 §5.3). */
  header(name: string): string | undefined {
    const value = this.#headers[name]
    // HTTP/2 says it in :authority. A route that asks for it must not depend on the version.
    if (value === undefined) return name === 'host' && this.isHttp2 ? this.authority : undefined
    // What is neither belongs to Object: "constructor" is a name that a route or policy may have.
    if (typeof value !== 'string') return Array.isArray(value) ? value.join(',') : undefined
    this.#isRepetitive ??= this.rawHeaders.length > 2 * Object.keys(this.#headers).length
    return this.#isRepetitive ? this.#withRepetitions(name, value) : value
  }

  /** Of many names node keeps the first field alone; the backend gets them all, and may go by another one. */
  #withRepetitions(name: string, kept: string): string {
    // Read through once: routes and policies may ask for many names, and a client may send many fields.
    this.#repetitions ??= repetitionsOf(this.rawHeaders)
    const found = this.#repetitions.get(name)
    return found?.first === kept ? found.all : kept
  }

  get isGrpc(): boolean {
    const type = this.#headers['content-type']
    return typeof type === 'string' && /^application\/grpc(?:$|[+;])/i.test(type)
  }

  /** A stream in which both ends talk when they like: gRPC's, or one of the Connect protocol. HTTP/1 has none. */
  get isConversation(): boolean {
    const type = this.#headers['content-type']
    return this.isHttp2 && typeof type === 'string' && /^application\/(?:grpc(?:$|[+;])|connect\+)/i.test(type)
  }

  get acceptsTrailers(): boolean {
    return /(?:^|,)\s*trailers\b/i.test(this.header('te') ?? '')
  }

  get contentLength(): number | undefined {
    const value = this.#headers['content-length']
    return typeof value === 'string' ? Number(value) : undefined
  }
}

function repetitionsOf(rawHeaders: readonly string[]): ReadonlyMap<string, Repetition> {
  const byName = new Map<string, Repetition>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    const found = byName.get(name)
    if (found === undefined) byName.set(name, { first: value, all: value })
    else found.all += `, ${value}`
  }
  return byName
}

/** Whether a body follows the head. */
export function hasBody(request: IncomingRequest, head: Head): boolean {
  if (head.isHttp2) return !(request as Http2ServerRequest).stream.endAfterHeaders
  return head.header('transfer-encoding') !== undefined || (head.contentLength ?? 0) > 0
}

/** Lower case, without port. */
export function hostOf(authority: string): string {
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : authority.indexOf(':')
  return (end <= 0 ? authority : authority.slice(0, end)).toLowerCase()
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'host',
  'te',
])

/** The headers to forward, without those of the connection (RFC 9110 §7.6.1); Host is left to the forwarder. */
export function forwardableHeaders(head: Head): HeaderList {
  const raw = head.rawHeaders
  const listed = connectionTokens(head.header('connection'))
  const headers: HeaderList = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    if (name.charCodeAt(0) === 0x3a) continue
    const length = name.length
    // No hop-by-hop name is longer, and most names are none by their length alone.
    if (length <= 17) {
      const lower = name.toLowerCase()
      if (hopByHop.has(lower)) continue
      if (listed?.has(lower)) continue
    } else if (listed?.has(name.toLowerCase())) continue
    headers.push(name, raw[i + 1]!)
  }
  return headers
}

/** Names that Connection lists; null when there are none beyond the usual ones. */
export function connectionTokens(connection: string | undefined): ReadonlySet<string> | null {
  const options = connectionOptions(connection)
  if (options === null) return null
  const tokens = new Set(options)
  // A client must not be able to have the proxy drop what the proxy or the backend relies on.
  for (const name of ['host', 'content-length', 'authorization', 'cookie', 'forwarded', 'x-real-ip'])
    tokens.delete(name)
  for (const name of tokens) if (name.startsWith('x-forwarded-')) tokens.delete(name)
  return tokens
}
