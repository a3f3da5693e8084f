// What the servers of both versions have in common, and node's HTTP/2 server as a protocol machine: it is given connections and
// gives back requests. What is malformed costs its connection, with a logged reason, and nothing else.
import http from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Logger } from '@wishbone/runtime/log'
import { bindConnection, clientOf, connectionOf } from './connection.ts'
import type { CountRefusal, Limits } from './limits.ts'
import { SessionWatch } from './session-watch.ts'

export interface ProtocolServer<S> {
  readonly server: S
  /** Tells clients to go elsewhere with their next requests; whatever comes all the same is served. */
  leave(): void
  /** Serves no new request. */
  drain(): void
  close(): void
}

export interface ProtocolOptions {
  readonly log: Logger
  readonly limits: Limits
  readonly refused: CountRefusal
}

/** What HTTP/1 can say here: its parser refuses any other (RFC 9110 §15.6.2). */
const methods: ReadonlySet<string> = new Set(http.METHODS)

/**
 * What RFC 9113 calls malformed nghttp2 answers with RST_STREAM and shows to nobody; a hundred of those cost the connection. A
 * field with characters that none may have (§8.2.1) is the exception: node's OnInvalidHeader has it left out and the request go
 * on, without a setting, an event or a count that tells. A Duplex in between that reads the header blocks a second time costs at
 * least an eighth more CPU per small request and a third more per byte of an upload, so there is none: docs/edge.md.
 */
export function createHttp2Server({
  onRequest,
  log,
  limits,
  refused,
}: ProtocolOptions & {
  readonly onRequest: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
}): ProtocolServer<http2.Http2Server> {
  const sessions = new Set<http2.ServerHttp2Session>()
  const watch = new SessionWatch({
    limits,
    onSlow(session) {
      refused('slow-headers')
      log.info('a connection is closed: bad request', {
        reason: 'the client took too long for the head of its request',
        client: clientOf(session),
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
      client: clientOf(request.stream.session),
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
        client: clientOf(session),
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
