// A node:http server with the limits that all servers of this folder share; it never keeps the process alive by itself.
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface StartedServer extends AsyncDisposable {
  readonly port: number
}

/** Of one port; the oldest gives its place to the next. */
const maxConnections = 256
/** Without a byte either way. */
const stallMs = 30_000

/** Listens and resolves with the actual port (ask for 0 in tests). @throws if the port can't be had, naming it. */
export async function startServer(
  handle: (request: http.IncomingMessage, response: http.ServerResponse) => void | Promise<void>,
  address: { readonly host?: string | undefined; readonly port: number; readonly purpose: string },
): Promise<StartedServer> {
  const server = http.createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
    Promise.resolve()
      .then(() => handle(request, response))
      .catch((cause: unknown) => {
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' })
        response.end(`${cause instanceof Error ? cause.message : String(cause)}\n`)
      })
  })
  // Pods that anybody has can reach some of these ports: who holds connections open, or takes no answer, keeps nobody else out.
  const connections = new Set<Socket>()
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
    if (connections.size > maxConnections) connections.values().next().value!.destroy()
  })
  server.setTimeout(stallMs)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${address.host ?? '*'}:${address.port}`
      reject(new Error(`the ${address.purpose} server cannot listen on ${where}: ${cause.message}`, { cause }))
    })
    server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, resolve)
  })
  server.on('error', () => {})
  server.unref()
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Sends a text or JSON answer. */
export function reply(
  response: http.ServerResponse,
  status: number,
  body: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' })
  response.end(body)
}

/** Sends an answer that is made while it is read: no more of it than the client takes. */
export async function replyInPieces(
  response: http.ServerResponse,
  pieces: AsyncIterable<string>,
  contentType: string,
): Promise<void> {
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' })
  for await (const piece of pieces) {
    if (response.destroyed) return
    if (!response.write(piece)) await writable(response)
  }
  response.end()
}

/** Or closed. */
function writable(response: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}
