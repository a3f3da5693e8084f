// Requests to the Kubernetes API: JSON in, JSON out, and watches as a stream of events. No caching, no retrying.
import http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { type Connection, urlOf } from './connection.ts'
import { kubeError } from './error.ts'

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
}

/** Any object of the API; what lies below metadata is its kind's business. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [member: string]: unknown
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: unknown
}

export type PatchType = 'apply' | 'merge' | 'strategic'

const contentTypes = {
  // JSON is YAML; the API server takes only this name for server-side apply.
  apply: 'application/apply-patch+yaml',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json',
} as const

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly body?: unknown
  readonly patch?: PatchType
  /** What the answer shall be. Default application/json. */
  readonly accept?: string
  readonly signal?: AbortSignal
  /** Default 30 s. */
  readonly timeoutMs?: number
}

/** Longest line of a watch: an object is at most 1.5 MiB in etcd; a list of managed fields may double it. */
const maxEventBytes = 16 << 20

export class KubeClient {
  readonly #connection: Connection
  readonly #userAgent: string

  constructor(connection: Connection, userAgent = 'wishbone') {
    this.#connection = connection
    this.#userAgent = userAgent
  }

  /** Its origin. */
  get server(): string {
    return this.#connection.server.origin
  }

  /** The answer's body. Throws KubeError for any status but 2xx, and the transport's error if there was no answer. */
  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const timeoutMs = options.timeoutMs ?? 30_000
    const response = await this.open(method, path, options)
    // Not a timeout of the socket: that one would outlive this request on a connection that is kept alive.
    const timer = setTimeout(
      () => response.destroy(new Error(`${method} ${path}: the answer stopped half-way`)),
      timeoutMs,
    )
    const body = await text(response).finally(() => clearTimeout(timer))
    return JSON.parse(body === '' ? 'null' : body) as T
  }

  /** The answer as it begins: its reader says for how long it may take. Throws as `request` does. */
  async open(method: string, path: string, options: RequestOptions = {}): Promise<http.IncomingMessage> {
    const timeoutMs = options.timeoutMs ?? 30_000
    const response = await this.#send(method, path, options, timeoutMs)
    const status = response.statusCode ?? 0
    if (status >= 200 && status <= 299) return response
    const timer = setTimeout(() => response.destroy(), timeoutMs)
    const body = await text(response).finally(() => clearTimeout(timer))
    throw kubeError(status, parseOr(body), `${method} ${path}`)
  }

  get<T = KubeObject>(path: string, signal?: AbortSignal): Promise<T> {
    return this.request<T>('GET', path, signal === undefined ? {} : { signal })
  }

  /** Server-side apply; `force` takes fields over from other managers. */
  apply<T = KubeObject>(path: string, object: unknown, fieldManager: string): Promise<T> {
    return this.request<T>('PATCH', path, { body: object, patch: 'apply', query: { fieldManager, force: 'true' } })
  }

  /**
   * Opens a watch and yields its events until the server ends it. Throws KubeError when the server refuses (also 410 in
   * the stream's place), and when nothing at all came for `silenceMs`: a half-open connection must not look like peace.
   */
  async *watch(
    path: string,
    options: { readonly query: RequestOptions['query']; readonly silenceMs: number; readonly onOpen?: () => void },
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const response = await this.open('GET', path, { query: { ...options.query, watch: 'true' }, signal })
    options.onOpen?.()
    const { silenceMs } = options
    const { socket } = response
    const onSilence = (): void => {
      response.destroy(new Error(`watch ${path}: nothing came for ${silenceMs} ms`))
    }
    socket.setTimeout(silenceMs, onSilence)
    try {
      for await (const line of lines(response)) yield parseEvent(line, path)
    } finally {
      // A connection whose watch has ended in order is used again, for days; it would keep every answer that it brought.
      socket.off('timeout', onSilence)
      response.destroy()
    }
  }

  async #send(method: string, path: string, options: RequestOptions, timeoutMs: number): Promise<http.IncomingMessage> {
    const prepared = await this.#connection.prepare()
    const { server: base, socketPath } = this.#connection
    const url = urlOf(base, path)
    for (const [name, value] of Object.entries(options.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body))
    const headers: Record<string, string | number> = {
      accept: options.accept ?? 'application/json',
      ...prepared.headers,
    }
    headers['user-agent'] = this.#userAgent
    if (body !== undefined) {
      headers['content-type'] = contentTypes[options.patch ?? 'json']
      headers['content-length'] = body.length
    }
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? https.request : http.request
      const request = send(url, {
        method,
        headers,
        agent: prepared.agent,
        ...(socketPath === undefined ? {} : { socketPath }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
      const timer = setTimeout(
        () => request.destroy(new Error(`${method} ${path}: no answer from ${base.origin} within ${timeoutMs} ms`)),
        timeoutMs,
      )
      request.on('response', (response) => {
        clearTimeout(timer)
        resolve(response)
      })
      // Also after the answer has begun: the response stream reports the same error to its reader.
      request.on('error', (cause) => {
        clearTimeout(timer)
        reject(cause)
      })
      request.on('socket', (socket) => socket.setKeepAlive(true, 30_000))
      request.end(body)
    })
  }

  close(): void {
    this.#connection.close()
  }
}

async function* lines(stream: AsyncIterable<unknown>): AsyncGenerator<string> {
  let pending: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = chunk as Buffer
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      pending.push(bytes.subarray(start, end))
      const line = Buffer.concat(pending).toString('utf8').trim()
      pending = []
      length = 0
      start = end + 1
      if (line !== '') yield line
    }
    pending.push(bytes.subarray(start))
    length += bytes.length - start
    if (length > maxEventBytes) throw new Error(`an event of a watch is longer than ${maxEventBytes} bytes`)
  }
}

function parseEvent(line: string, path: string): WatchEvent {
  let event: WatchEvent
  try {
    event = JSON.parse(line) as WatchEvent
  } catch (cause) {
    throw new Error(`watch ${path}: an event is not JSON`, { cause })
  }
  if (event === null || typeof event !== 'object' || typeof event.object !== 'object' || event.object === null)
    throw new Error(`watch ${path}: an event has no object`)
  if (event.type === 'ERROR') {
    const code = (event.object as { code?: unknown }).code
    throw kubeError(typeof code === 'number' ? code : 500, event.object, `watch ${path}`)
  }
  return event
}

function parseOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
