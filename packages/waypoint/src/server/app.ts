// The fastify instance that every request passes: its hooks are where plugins come in, its one handler is the pipeline.
// It listens nowhere; node's HTTP servers hand it requests from connections that were accepted elsewhere.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Logger } from '@wishbone/runtime/log'
import fastify, { type FastifyInstance } from 'fastify'
import type { RouteTable } from '../compile/index.ts'
import type { RequestContext } from '../pipeline/context.ts'
import type { IncomingRequest } from '../pipeline/head.ts'
import { reportForeign } from '../pipeline/record.ts'
import { Http1Responder, Http2Responder, type Responder } from '../pipeline/responder.ts'
import { RequestRun } from '../pipeline/run.ts'
import type { PipelineServices } from '../pipeline/services.ts'
import type { UpgradeRequest } from '../pipeline/upgrade.ts'
import { type Connection, connectionOf } from './connection.ts'
import { contextOf } from './context-of.ts'
import { createHttp2Server } from './http-servers.ts'
import { createHttp1Server } from './http1-server.ts'
import type { CountRefusal, Limits } from './limits.ts'
import { UnreadWatch } from './unread.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What Wishbone knows of the request: its connection, listener, rule and the headers that will be forwarded. */
    wishbone: RequestContext
  }
}

export interface AppOptions {
  readonly table: () => RouteTable
  readonly services: PipelineServices
  readonly log: Logger
  readonly isDraining: () => boolean
  readonly limits: Limits
  readonly refused: CountRefusal
  /** Registers the user's plugins. */
  readonly plugins?: (app: FastifyInstance) => Promise<void>
}

export interface App {
  readonly fastify: FastifyInstance
  /** Serve a connection of which `bindConnection` was called; it speaks this version. */
  serveHttp1(stream: Duplex): void
  serveHttp2(stream: Duplex): void
  /** Open requests and upgraded connections. */
  readonly active: number
  /** Each connection's next answer tells its client to go elsewhere; everything is served. */
  leave(): void
  /** Connections end when what is open on them has. */
  drain(): void
  close(): Promise<void>
}

/** So long a client may read the answer to an upgrade that was declined. */
const lingerMs = 1_000

const upgrades = new WeakMap<IncomingMessage, UpgradeRequest>()

function connectionFor(request: IncomingRequest): Connection | undefined {
  return connectionOf('stream' in request ? request.stream.session : request.socket)
}

/** Makes the instance and its servers. Rejects when a plugin does. */
export async function createApp(options: AppOptions): Promise<App> {
  const { table, services, log, isDraining, limits, refused, plugins } = options
  let active = 0
  /** Answers of requests that have not come to the pipeline yet, and of those that a plugin answers. */
  const inPlugins = new Set<ServerResponse>()
  let serve: (request: IncomingMessage, response: ServerResponse) => void = () => {}
  const responderFor = (
    request: IncomingRequest,
    response: ServerResponse | Http2ServerResponse,
    upgrades = false,
  ): Responder =>
    'stream' in request
      ? new Http2Responder(request, response as Http2ServerResponse)
      : new Http1Responder(request, response as ServerResponse, () => upgrades || isDraining())
  const app = fastify({
    logger: false,
    genReqId: () => '',
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // Routing is ours: every request goes to the one handler, whatever its path, valid or not.
    rewriteUrl: () => '/',
    serverFactory: (handler) => {
      serve = handler as typeof serve
      return http.createServer()
    },
  })
  for (const method of http.METHODS)
    if (method !== 'CONNECT') app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  app.decorateRequest('wishbone')
  app.addHook('onRequest', (request, _reply, done) => {
    const raw = request.raw as IncomingMessage & { originalUrl?: string }
    raw.url = raw.originalUrl ?? raw.url ?? '/'
    const incoming = raw as IncomingRequest
    const connection = connectionFor(incoming)
    if (connection === undefined) return done(new Error('a request came in on an unknown connection'))
    request.wishbone = contextOf(table(), connection, incoming)
    done()
  })
  await plugins?.(app)
  // Only answers that a plugin gives come by here; the pipeline writes its own and reports them itself.
  app.addHook('onSend', (request, reply, payload, done) => {
    const responder = responderFor(request.raw as IncomingRequest, reply.raw as never)
    if (request.wishbone !== undefined) reportForeign(services, request.wishbone, responder, reply.statusCode)
    done(null, payload)
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    log.warn('a hook of a plugin failed', { error: error.message, path: request.url })
    return reply
      .code(error.statusCode ?? 500)
      .type('text/plain')
      .send(`${error.message}\n`)
  })
  const handle = (request: { raw: unknown; wishbone: RequestContext }, reply: { hijack(): unknown; raw: unknown }) => {
    reply.hijack()
    inPlugins.delete(reply.raw as ServerResponse)
    const incoming = request.raw as IncomingRequest
    const upgrade = upgrades.get(incoming as IncomingMessage)
    const responder = responderFor(incoming, reply.raw as never, upgrade !== undefined)
    active++
    const run = new RequestRun(services, request.wishbone, responder, upgrade)
    run.onReported(() => active--)
    void run.run()
  }
  app.route({ method: http.METHODS.filter((method) => method !== 'CONNECT'), url: '/', handler: handle as never })
  app.setNotFoundHandler(handle as never)
  await app.ready()

  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    // A stream that was reset before its turn belongs to no connection any more.
    if (connectionFor(request as IncomingRequest) === undefined) return void request.destroy()
    if (plugins !== undefined) {
      inPlugins.add(response)
      response.once('close', () => inPlugins.delete(response))
    }
    serve(request, response)
  }
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // The answer to an earlier request may have ended the connection.
    if (!socket.writable) return void socket.destroy()
    const response = new http.ServerResponse(request)
    response.assignSocket(socket as import('node:net').Socket)
    socket.on('error', () => socket.destroy())
    response.once('finish', () => {
      socket.end()
      // The backend declined. What the client still sends is thrown away, and it may not keep its side open for ever.
      socket.resume()
      setTimeout(() => socket.destroy(), lingerMs).unref()
    })
    upgrades.set(request, { request, response, socket, head, onSwitched: () => unread.release(socket) })
    onRequest(request, response)
  }
  const unread = new UnreadWatch()
  const http1 = createHttp1Server({ onRequest, onUpgrade, log, limits, refused })
  const h2 = createHttp2Server({ onRequest: onRequest as never, log, limits, refused })
  return {
    fastify: app,
    serveHttp1(stream) {
      unread.add(stream)
      http1.server.emit('connection', stream)
    },
    serveHttp2: (stream) => h2.serve(stream),
    get active() {
      return active + inPlugins.size
    },
    leave() {
      http1.leave()
      h2.leave()
    },
    drain() {
      http1.drain()
      h2.drain()
    },
    async close() {
      unread.close()
      http1.close()
      h2.close()
      await app.close()
    },
  }
}
