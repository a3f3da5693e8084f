// Backends and clients for tests, on the loopback.
import http, { type IncomingMessage, type RequestListener } from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'

export interface Backend {
  readonly port: number
  readonly close: () => void
}

/** `onExpect` takes requests whose client waits for a 100; without it they get one at once. */
export async function httpBackend(handler: RequestListener, onExpect?: RequestListener): Promise<Backend> {
  const server = http.createServer(handler)
  if (onExpect !== undefined) server.on('checkContinue', onExpect)
  return listen(server, () => server.closeAllConnections())
}

/** Answers with what it was asked, as JSON. */
export function echo(name: string): Promise<Backend> {
  return httpBackend((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          name,
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
  })
}

export async function http2Backend(
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
): Promise<Backend> {
  const server = http2.createServer()
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => sessions.add(session))
  server.on('stream', onStream)
  return listen(server, () => sessions.forEach((session) => void session.destroy()))
}

export async function tcpBackend(onSocket: (socket: net.Socket) => void): Promise<Backend> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  return listen(server, () => sockets.forEach((socket) => void socket.destroy()))
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const backend = await tcpBackend(() => {})
  backend.close()
  return backend.port
}

async function listen(server: net.Server, closeAll: () => void): Promise<Backend> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      closeAll()
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly trailers: NodeJS.Dict<string>
  readonly body: string
  readonly informational: readonly number[]
}

export interface Ask {
  readonly method?: string
  readonly path?: string
  readonly headers?: http.OutgoingHttpHeaders | readonly string[]
  readonly body?: string | Buffer
  readonly agent?: http.Agent
}

/** One HTTP/1.1 request; a connection of its own unless an agent is given. */
export function ask(
  port: number,
  { method = 'GET', path = '/', headers = {}, body, agent }: Ask = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const informational: number[] = []
  const request = http.request({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers: headers as http.OutgoingHttpHeaders,
    agent: agent ?? false,
  })
  request.on('information', ({ statusCode }) => informational.push(statusCode))
  request.on('response', (response: IncomingMessage) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        rawHeaders: response.rawHeaders,
        trailers: response.trailers,
        body: Buffer.concat(chunks).toString(),
        informational,
      }),
    )
  })
  request.on('error', reject)
  request.end(body)
  return promise
}

/** Sends raw bytes and collects what comes back until the other side closes. */
export function raw(port: number, bytes: string | Buffer, waitMs = 2_000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = net.connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  const timer = setTimeout(() => socket.destroy(), waitMs)
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.on('close', () => {
    clearTimeout(timer)
    resolve(Buffer.concat(chunks).toString('latin1'))
  })
  socket.write(bytes)
  return promise
}
