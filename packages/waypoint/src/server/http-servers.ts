// What the servers of both versions have in common, and node's HTTP/2 server as a protocol machine: it is given connections and
// gives back requests. What is malformed costs its connection, with a logged reason, and nothing else.
import http from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import type { FieldFault } from '@wishbone/core/h2'
import type { Logger } from '@wishbone/runtime/log'
import { bindConnection, clientOf, connectionOf } from './connection.ts'
import { FieldWatch, watched } from './field-watch.ts'
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

export interface Http2Edge extends ProtocolServer<http2.Http2Server> {
  /** Serves a connection of which `bindConnection` was called. */
  serve(stream: Duplex): void
}

/** What belongs to one session. */
interface Client {
  readonly stream: Duplex
  readonly fields: FieldWatch
  readonly streams: Map<number, http2.ServerHttp2Stream>
  session: http2.ServerHttp2Session | undefined
}

/**
 * What RFC 9113 calls malformed nghttp2 answers with RST_STREAM and shows to nobody; a hundred of those cost the connection. A
 * field with characters that none may have (§8.2.1) is the exception, of which FieldWatch tells: its request is answered 400.
 */
export function createHttp2Server({
  onRequest,
  log,
  limits,
  refused,
}: ProtocolOptions & {
  readonly onRequest: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
}): Http2Edge {
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
  const clients = new WeakMap<http2.Http2Session, Client>()
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
  const refuse = (
    request: http2.Http2ServerRequest,
    response: http2.Http2ServerResponse,
    status: number,
    reason: string,
  ) => {
    refused('bad-request')
    log.info('a request is refused', { reason, client: clientOf(request.stream.session) })
    request.resume()
    response.writeHead(status).end()
  }
  const onAnyRequest: typeof onRequest = (request, response) => {
    const { stream } = request
    const fault = stream.session === undefined ? undefined : clients.get(stream.session)?.fields.faultOf(stream.id ?? 0)
    if (fault !== undefined) refuse(request, response, 400, describeFault(fault, 'a'))
    else if (!methods.has(request.method)) refuse(request, response, 501, `the method ${request.method} is not known`)
    else onRequest(request, response)
  }
  server.on('request', onAnyRequest)
  server.on('checkContinue', onAnyRequest)
  /** The one that `serve` is making a session for. */
  let next: Client | undefined
  server.on('session', (session) => {
    const client = next!
    const { stream, streams } = client
    client.session = session
    clients.set(session, client)
    sessions.add(session)
    session.setLocalWindowSize(4 << 20)
    const connection = connectionOf(stream)
    if (connection !== undefined) bindConnection(session as unknown as Duplex, connection)
    watch.add(session, stream)
    session.once('close', () => sessions.delete(session))
    // Sockets are half-open so that clients may end their requests first; a session without requests has nothing to wait for.
    stream.once('end', () => session.close())
    function onStreamClosed(this: http2.ServerHttp2Stream) {
      streams.delete(this.id!)
    }
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
      opened.on('close', onStreamClosed)
      streams.set(opened.id!, opened)
      // A GOAWAY without a limit, and only while a request is open: without one the session would read no more.
      // What followed in the same piece may have ended the session already.
      if (!leaving || told.has(session) || session.destroyed) return
      told.add(session)
      session.goaway(http2.constants.NGHTTP2_NO_ERROR, 0x7fff_ffff)
    })
  })
  server.on('sessionError', () => {})
  const clientOn = (stream: Duplex): Client => {
    const streams: Client['streams'] = new Map()
    const refuseClient = (reason: string) => {
      refused('bad-request')
      log.info('a connection is closed: bad request', { reason, client: clientOf(stream) })
    }
    const fields = new FieldWatch({
      onTrailers(streamId, fault) {
        const opened = streams.get(streamId)
        if (opened === undefined) return false
        refused('bad-request')
        log.info('a request is reset', { reason: describeFault(fault, 'a trailing'), client: clientOf(stream) })
        opened.close(http2.constants.NGHTTP2_PROTOCOL_ERROR)
        return true
      },
      // node finds most of it too, and says more to the client: it has the first word.
      onBroken: (reason) =>
        setImmediate(() => {
          const { session } = client
          if (session === undefined || session.destroyed) return
          refuseClient(reason)
          session.destroy(null as never, http2.constants.NGHTTP2_PROTOCOL_ERROR)
        }),
    })
    const client: Client = { stream, fields, streams, session: undefined }
    return client
  }
  return {
    server,
    serve(stream) {
      next = clientOn(stream)
      server.emit('connection', watched(stream, next.fields.push))
    },
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

function describeFault(fault: FieldFault | 'unknown', which: 'a' | 'a trailing'): string {
  return fault === 'unknown'
    ? 'what came before it on the connection is malformed'
    : `the ${fault} of ${which} field has a character that none may have (RFC 9113 section 8.2.1)`
}
