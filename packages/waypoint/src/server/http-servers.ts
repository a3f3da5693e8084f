// node's HTTP servers as protocol machines: they are given connections and give back requests. What is malformed costs
// its connection, with a logged reason, and nothing else.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Logger } from '@wishbone/runtime/log'
import { bindConnection, connectionOf } from './connection.ts'
import type { CountRefusal, Limits, Refusal } from './limits.ts'

type OnRequest = (request: IncomingMessage, response: ServerResponse) => void

export interface ProtocolServer<S> {
  readonly server: S
  on(event: 'upgrade', listener: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): void
  /** Tells clients to go elsewhere with their next requests; whatever comes all the same is served. */
  leave(): void
  /** Serves no new request. */
  drain(): void
  close(): void
}

export interface ProtocolOptions {
  readonly onRequest: OnRequest
  readonly log: Logger
  readonly limits: Limits
  readonly refused: CountRefusal
}

type Answer = readonly [status: string, reason: string, refusal: Refusal]

const answers: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'the headers are larger than the limit',
    'headers-too-large',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    '413 Payload Too Large',
    'the chunk extensions are larger than the limit',
    'bad-request',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    'the client took too long for the head of its request',
    'slow-headers',
  ],
}
const malformed: Answer = ['400 Bad Request', 'the request is not valid HTTP/1.1', 'bad-request']

export function createHttp1Server({ onRequest, log, limits, refused }: ProtocolOptions): ProtocolServer<http.Server> {
  const server = http.createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // Bodies may take as long as they like, as long as they come.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
    insecureHTTPParser: false,
    // An Upgrade that is none for us (h2c) is ignored, as RFC 9110 §7.8 allows.
    // One with a body is a plain request: what follows its head is content, and never the other protocol's first bytes.
    shouldUpgradeCallback: ({ headers }) =>
      !/^h2c?$/i.test(headers.upgrade ?? '') &&
      headers['transfer-encoding'] === undefined &&
      Number(headers['content-length'] ?? 0) === 0,
  })
  server.maxHeadersCount = limits.maxHeaders
  server.on('request', onRequest)
  // Without a listener node would ask for the body at once; the pipeline asks for it when it has somewhere to go.
  server.on('checkContinue', onRequest)
  server.on('connect', (_request, socket) => {
    const client = connectionOf(socket)
    log.info('a connection is closed: bad request', {
      reason: 'CONNECT is not for this port',
      client: client === undefined ? undefined : `${client.clientIp}:${client.clientPort}`,
    })
    socket.on('error', () => socket.destroy())
    socket.end('HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.on('clientError', (error: Error & { code?: string }, socket) => {
    const [status, reason, refusal] = answers[error.code ?? ''] ?? malformed
    const client = connectionOf(socket)
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    refused(refusal)
    log.info('a connection is closed: bad request', {
      reason,
      detail: error.message,
      code: error.code,
      client: client === undefined ? undefined : `${client.clientIp}:${client.clientPort}`,
    })
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    setTimeout(() => socket.destroy(), 1_000).unref()
  })
  // The server never listens, but its watch over slow clients and idle connections begins with this event.
  server.emit('listening')
  return {
    server,
    on: (event, listener) => void server.on(event, listener as never),
    // Every answer says so: the pipeline's responder.
    leave: () => {},
    drain: () => server.closeIdleConnections(),
    close: () => server.closeAllConnections(),
  }
}

export function createHttp2Server({
  onRequest,
  log,
  limits,
  refused,
}: Omit<ProtocolOptions, 'onRequest'> & {
  readonly onRequest: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
}): ProtocolServer<http2.Http2Server> {
  const sessions = new Set<http2.ServerHttp2Session>()
  const told = new WeakSet<http2.ServerHttp2Session>()
  let leaving = false
  const server = http2.createServer({
    maxSessionMemory: 64,
    maxHeaderListPairs: limits.maxHeaders,
    // A client that breaks the protocol again and again, or resets streams faster than anyone browses, loses its connection.
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    streamResetBurst: 200,
    streamResetRate: 100,
    settings: {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderBytes,
      initialWindowSize: 1 << 20,
      enablePush: false,
    },
  })
  server.on('request', onRequest)
  server.on('checkContinue', onRequest)
  server.on('session', (session) => {
    sessions.add(session)
    session.setLocalWindowSize(4 << 20)
    const connection = connectionOf(streamOf(session))
    if (connection !== undefined) bindConnection(session as unknown as Duplex, connection)
    session.setTimeout(limits.idleTimeoutMs * 4, () => session.close())
    session.once('close', () => sessions.delete(session))
    // Sockets are half-open so that clients may end their requests first; a session without requests has nothing to wait for.
    streamOf(session)?.once('end', () => session.close())
    session.on('error', (error: Error & { code?: string }) => {
      if (error.code !== 'ECONNRESET') refused('http2-error')
      log.info('a connection is closed: HTTP/2 error', {
        reason: error.message,
        code: error.code,
        client: connection === undefined ? undefined : `${connection.clientIp}:${connection.clientPort}`,
      })
    })
    session.on('stream', (stream) => {
      stream.on('error', () => {})
      // A GOAWAY without a limit, and only while a request is open: without one the session would read no more.
      if (!leaving || told.has(session)) return
      told.add(session)
      session.goaway(http2.constants.NGHTTP2_NO_ERROR, 0x7fff_ffff)
    })
  })
  server.on('sessionError', () => {})
  return {
    server,
    on: () => {},
    leave: () => {
      leaving = true
    },
    drain: () => {
      for (const session of sessions) session.close()
    },
    close: () => {
      for (const session of sessions) session.destroy()
    },
  }
}

// A session shows only a proxy of its stream; through it the stream's own properties can be read, this one too.
const ownStream = Symbol('stream')

/** To be called before a stream is handed to an HTTP/2 server. */
export function rememberStream(stream: Duplex): void {
  ;(stream as { [ownStream]?: Duplex })[ownStream] = stream
}

function streamOf(session: http2.ServerHttp2Session): Duplex | undefined {
  const socket = session.socket as unknown as { [ownStream]?: Duplex; readonly stream?: { [ownStream]?: Duplex } }
  // What is no net.Socket is wrapped once more.
  return socket[ownStream] ?? socket.stream?.[ownStream]
}
