// The little that the four Bookinfo services share: a server that stops when told to, JSON answers,
// and calls to the next service that carry the user and the trace along. No mesh code: the mesh is outside.
import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import { hostname } from 'node:os'

/** Headers that a service copies from the request it serves to the requests it makes. */
const carriedHeaders = ['end-user', 'x-request-id', 'traceparent', 'tracestate', 'baggage'] as const

const agent = new Agent({ keepAlive: false })

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>

/** The pod's name, which the pages show to tell replicas and versions apart. */
export const podName = process.env['POD_NAME'] ?? hostname()

/** Serves `handler` on PORT (9080) until SIGTERM; `/health` answers by itself. */
export function serve(name: string, handler: Handler): void {
  const port = Number(process.env['PORT'] ?? 9080)
  const server = createServer((message, response) => {
    const url = new URL(message.url ?? '/', 'http://service.invalid')
    if (url.pathname === '/health') return json(response, 200, { status: `${name} is healthy` })
    response.setHeader('x-served-by', podName)
    Promise.resolve(handler(message, response, url)).catch((cause: unknown) => {
      console.error(`${name}: ${message.method} ${message.url}: ${String(cause)}`)
      if (!response.headersSent) json(response, 500, { error: `${name} failed` })
      else response.destroy()
    })
  })
  server.listen(port, () => console.log(`${name} listens on ${port}`))
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  })
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** GET `url` on behalf of `incoming`; resolves for every status, rejects when there is no answer in `timeoutMs`. */
export function call(url: string, incoming: IncomingMessage, timeoutMs: number): Promise<Answer> {
  const headers: Record<string, string> = {}
  for (const name of carriedHeaders) {
    const value = incoming.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, headers, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString('utf8'),
          headers: response.headers,
        })
      })
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${url} in ${timeoutMs} ms`)))
    outgoing.on('error', reject)
    outgoing.end()
  })
}
