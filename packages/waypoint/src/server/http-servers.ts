// node's HTTP servers as protocol machines: they are given connections and give back requests. What is malformed costs
// its connection, with a logged reason, and nothing else.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Logger } from '@wishbone/runtime/log'
import { bindConnection, type Connection, connectionOf } from './connection.ts'
import type { CountRefusal, Limits, Refusal } from './limits.ts'
import { SessionWatch } from './session-watch.ts'

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
/** What HTTP/1 can say here: its parser refuses any other (RFC 9110 §15.6.2). */
const methods: ReadonlySet<string> = new Set(http.METHODS)

const malformed: Answer = ['400 Bad Request', 'the request is not valid HTTP/1.1', 'bad-request']

function clientName(connection: Connection | undefined): string | undefined {
  return connection === undefined ? undefined : `${connection.clientIp}:${connection.clientPort}`
}

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
    shouldUpgradeCallback: ({ headers, httpVersionMajor }) =>
      httpVersionMajor === 1 &&
      !/^h2c?$/i.test(headers.upgrade ?? '') &&
      headers['transfer-encoding'] === undefined &&
      Number(headers['content-length'] ?? 0) === 0,
  })
  server.maxHeadersCount = limits.maxHeaders
  const report = (socket: Duplex, refusal: Refusal, reason: string, fields: Record<string, unknown> = {}) => {
    refused(refusal)
    log.info('a connection is closed: bad request', { reason, ...fields, client: clientName(connectionOf(socket)) })
  }
  const onHttp1Request = (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor === 1 || request.httpVersionMajor === 0) return onRequest(request, response)
    // HTTP/2 does not begin like this, and llhttp does not mind (RFC 9110 §15.6.6). After the answers before it.
    report(request.socket, 'bad-request', `the request says that it is HTTP/${request.httpVersion}`)
    response.writeHead(505, { connection: 'close', 'content-length': '0' }).end()
  }
  server.on('request', onHttp1Request)
  // Without a listener node would ask for the body at once; the pipeline asks for it when it has somewhere to go.
  server.on('checkContinue', onHttp1Request)
  const end = (socket: Duplex, status: string) => {
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    setTimeout(() => socket.destroy(), 1_000).unref()
  }
  server.on('connect', (_request, socket) => {
    report(socket, 'bad-request', 'CONNECT is not for this port')
    socket.on('error', () => socket.destroy())
    end(socket, '405 Method Not Allowed')
  })
  server.on('clientError', (error: Error & { code?: string }, socket) => {
    const [status, reason, refusal] = answers[error.code ?? ''] ?? malformed
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    report(socket, refusal, reason, { detail: error.message, code: error.code })
    end(socket, status)
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

/**
 * What RFC 9113 calls malformed nghttp2 answers with RST_STREAM and shows to nobody; a hundred of those cost the connection. Of a
 * field with characters that none may have (§8.2.1) node makes it leave out that field and go on, and has no setting for it.
 */
export function createHttp2Server({
  onRequest,
  log,
  limits,
  refused,
}: Omit<ProtocolOptions, 'onRequest'> & {
  readonly onRequest: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
}): ProtocolServer<http2.Http2Server> {
  const sessions = new Set<http2.ServerHttp2Session>()
  const watch = new SessionWatch({
    limits,
    onSlow(session) {
      refused('slow-headers')
      log.info('a connection is closed: bad request', {
        reason: 'the client took too long for the head of its request',
        client: clientName(connectionOf(session)),
      })
    },
  })
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
  const onKnownMethod: typeof onRequest = (request, response) => {
    if (methods.has(request.method)) return onRequest(request, response)
    refused('bad-request')
    log.info('a request is refused', {
      reason: `the method ${request.method} is not known`,
      client: clientName(connectionOf(request.stream.session)),
    })
    request.resume()
    response.writeHead(501).end()
  }
  server.on('request', onKnownMethod)
  server.on('checkContinue', onKnownMethod)
  server.on('session', (session) => {
    sessions.add(session)
    session.setLocalWindowSize(4 << 20)
    const stream = streamOf(session)
    const connection = connectionOf(stream)
    if (connection !== undefined) bindConnection(session as unknown as Duplex, connection)
    watch.add(session, stream)
    session.once('close', () => sessions.delete(session))
    // Sockets are half-open so that clients may end their requests first; a session without requests has nothing to wait for.
    stream?.once('end', () => session.close())
    session.on('error', (error: Error & { code?: string }) => {
      if (error.code !== 'ECONNRESET') refused('http2-error')
      log.info('a connection is closed: HTTP/2 error', {
        reason: error.message,
        code: error.code,
        client: clientName(connectionOf(session)),
      })
    })
    session.on('stream', (opened) => {
      opened.on('error', () => {})
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
      watch.close()
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
