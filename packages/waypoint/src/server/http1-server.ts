// node's HTTP/1 server as a protocol machine: it is given connections and gives back requests, those of a connection one
// after the other. What is malformed costs its connection, with a logged reason, and nothing else.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { clientOf } from './connection.ts'
import type { ProtocolOptions, ProtocolServer } from './http-servers.ts'
import type { Refusal } from './limits.ts'
import { createTurns, isOpen } from './turns.ts'

export interface Http1Options extends ProtocolOptions {
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void
  /** A request for WebSocket: `head` is what came behind it, and the socket is no longer read as HTTP. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

type ParserError = Error & { readonly code?: string }
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

/** So long a client may read its last answer while it still sends. */
const lingerMs = 1_000

export function createHttp1Server({
  onRequest,
  onUpgrade,
  log,
  limits,
  refused,
}: Http1Options): ProtocolServer<http.Server> {
  const turns = createTurns(limits.maxPipelined)
  const server = http.createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // Bodies may take as long as they like, as long as they come.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
    insecureHTTPParser: false,
    // The pipeline's answer is counted and logged.
    requireHostHeader: false,
    shouldUpgradeCallback: (request) => !mayHaveBody(request) && !isOpen(turns.latest(request.socket)),
  })
  server.maxHeadersCount = limits.maxHeaders
  /** Connections on which nothing more can be read, and how to end them. */
  const broken = new WeakMap<Duplex, () => void>()

  const report = (socket: Duplex, refusal: Refusal, reason: string, fields: Record<string, unknown> = {}) => {
    refused(refusal)
    log.info('a connection is closed: bad request', { reason, ...fields, client: clientOf(socket) })
  }
  const end = (socket: Duplex, status: string) => {
    if (!socket.writable) return void socket.destroy()
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    // What the client still sends is thrown away: a reset would take the answer from it.
    socket.resume()
    setTimeout(() => socket.destroy(), lingerMs).unref()
  }
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const { socket, httpVersion, httpVersionMajor } = request
    const breakOff = broken.get(socket)
    // The rest of it cannot be read.
    if (breakOff !== undefined && !request.complete) return breakOff()
    // The parser has thrown away what came with its last bytes, if anything did.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
    if (httpVersionMajor === 1 || httpVersionMajor === 0) return onRequest(request, response)
    // HTTP/2 does not begin like this, and llhttp does not mind (RFC 9110 §15.6.6).
    report(socket, 'bad-request', `the request says that it is HTTP/${httpVersion}`)
    response.writeHead(505, { connection: 'close', 'content-length': '0' }).end()
  }
  const take = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    if (turns.take(socket, response, () => serve(request, response))) return
    if (socket.destroyed) return
    report(socket, 'pipelined', 'too many requests wait behind others of their connections', {
      limit: limits.maxPipelined,
    })
    socket.destroy()
  }
  server.on('request', take)
  // Without a listener node would ask for the body at once; the pipeline asks for it when it has somewhere to go.
  server.on('checkContinue', take)
  // And it would answer other expectations itself, unseen.
  server.on('checkExpectation', take)
  server.on('upgrade', (request, socket, head) => {
    if (asksForWebSocket(request)) onUpgrade(request, socket, head)
    else serveAsPlain(request, socket, head)
  })
  /** node would go on with the connection too, but lose the bytes that it has read behind the request. */
  const serveAsPlain = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!socket.writable) return void socket.destroy()
    socket.unshift(Buffer.concat([plainHead(request), head]))
    // An earlier answer has begun to count the idle time.
    if ('setTimeout' in socket) (socket as Socket).setTimeout(0)
    server.emit('connection', socket)
  }
  server.on('connect', (_request, socket) => {
    socket.on('error', () => socket.destroy())
    turns.handOver(socket)
    report(socket, 'bad-request', 'CONNECT is not for this port')
    turns.afterAll(socket, () => end(socket, '405 Method Not Allowed'))
  })
  const refuse = (error: ParserError, socket: Duplex) => {
    const [status, reason, refusal] = answers[error.code ?? ''] ?? malformed
    // Who hung up in the middle of a message did nothing to be counted.
    if (error.code === 'HPE_INVALID_EOF_STATE')
      log.debug('a client hung up in the middle of a request', { client: clientOf(socket) })
    else report(socket, refusal, reason, { detail: error.message, code: error.code })
    const open = turns.latest(socket)
    const breakOff = () => {
      // Inside of a response that has begun, an answer would pass for its content.
      if (isOpen(open) && open.headersSent) socket.destroy()
      else end(socket, status)
    }
    broken.set(socket, breakOff)
    if (!isOpen(open)) return breakOff()
    // In the body of the request that is being served: this is its answer. Else those that came before are owed theirs.
    if (!open.req.complete && open.socket !== null) return breakOff()
    socket.pause()
    if (open.req.complete) turns.afterAll(socket, () => end(socket, status))
  }
  /** It took long because nothing was read behind a request that is not answered: its time begins with the answer. */
  const giveTime = (error: ParserError, socket: Duplex, open: ServerResponse) =>
    turns.afterAll(socket, () => {
      const timer = setTimeout(() => {
        if (turns.latest(socket) === open && socket.writable && !broken.has(socket)) refuse(error, socket)
      }, limits.headersTimeoutMs)
      timer.unref()
      socket.once('close', () => clearTimeout(timer))
    })
  server.on('clientError', (error: ParserError, socket) => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return void socket.destroy()
    if (broken.has(socket)) return
    // The last answer is on its way, and says that nothing more is read.
    if (!socket.writable) return
    const open = turns.latest(socket)
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isOpen(open)) giveTime(error, socket, open)
    else refuse(error, socket)
  })
  // The server never listens, but its watch over slow clients and idle connections begins with this event.
  server.emit('listening')
  return {
    server,
    // Every answer says so: the pipeline's responder.
    leave: () => {},
    drain: () => server.closeIdleConnections(),
    close: () => server.closeAllConnections(),
  }
}

/**
 * Whether the request is to become a WebSocket (RFC 6455 §4.1: a GET, and of HTTP/1.1). Other protocols in Upgrade are ignored,
 * as RFC 9110 §7.8 allows: the request is a plain one, and its backend hears of none but WebSocket. Istio's gateways switch to
 * nothing else either.
 */
function asksForWebSocket({ method, headers, httpVersion }: IncomingMessage): boolean {
  return method === 'GET' && httpVersion === '1.1' && /(?:^|,)[ \t]*websocket[ \t]*(?:,|$)/i.test(headers.upgrade ?? '')
}

/** What follows the head of such a request is content, and never another protocol's first bytes. */
function mayHaveBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/** The request's head without Upgrade. */
function plainHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.toLowerCase() !== 'upgrade') head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  return Buffer.from(`${head}\r\n`, 'latin1')
}
