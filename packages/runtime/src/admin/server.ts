// A node:http server with the limits that all servers of this folder share; it never keeps the process alive by itself.
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StartedServer extends AsyncDisposable {
  readonly port: number
}

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
  server.maxConnections = 256
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
