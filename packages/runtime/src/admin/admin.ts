// The admin server on localhost: a table of "METHOD /path" → handler. Its answers are for operators and istioctl.
// Requests whose Host or Origin is not local are refused, so that a web page cannot drive it through a browser.
import { reply, type StartedServer, startServer } from './server.ts'

export interface AdminRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** The body as text, at most 1 MiB. */
  readonly body: string
}

/** A string is sent as text, anything else as JSON. */
export type AdminReply = string | { readonly json: unknown } | { readonly status: number; readonly text: string }

/** Keys are "GET /config_dump", "POST /logging". A key that ends with "/*" takes every path below. */
export type AdminRoutes = Readonly<Record<string, (request: AdminRequest) => AdminReply | Promise<AdminReply>>>

export interface AdminOptions {
  readonly port?: number
  /** Default 127.0.0.1. */
  readonly host?: string
  readonly routes: AdminRoutes
}

const bodyLimit = 1 << 20

async function readBody(request: AsyncIterable<Buffer>): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > bodyLimit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isLocal(hostHeader: string | undefined): boolean {
  if (hostHeader === undefined) return true
  const host = hostHeader.replace(/:\d+$/, '')
  return host === 'localhost' || host === '127.0.0.1' || host === '[::1]' || host === ''
}

function findRoute(routes: AdminRoutes, method: string, path: string) {
  const exact = routes[`${method} ${path}`]
  if (exact) return exact
  for (const key in routes) {
    if (key.endsWith('/*') && `${method} ${path}`.startsWith(key.slice(0, -1))) return routes[key]
  }
  return undefined
}

function index(routes: AdminRoutes): string {
  return `${Object.keys(routes).sort().join('\n')}\n`
}

/** Starts the admin server, 127.0.0.1:15000 by default. `GET /` lists the routes. */
export function startAdmin(options: AdminOptions): Promise<StartedServer> {
  const { routes } = options
  return startServer(
    async (request, response) => {
      const url = new URL(request.url ?? '/', 'http://localhost')
      const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET')
      const origin = request.headers.origin
      if (!isLocal(request.headers.host) || (origin !== undefined && !isLocal(origin.replace(/^https?:\/\//, '')))) {
        return reply(response, 403, 'the admin server answers only requests for localhost\n')
      }
      const route = findRoute(routes, method, url.pathname)
      if (!route) {
        if (method === 'GET' && url.pathname === '/') return reply(response, 200, index(routes))
        return reply(response, 404, `no such route; there are:\n${index(routes)}`)
      }
      const body = await readBody(request)
      if (body === undefined) return reply(response, 413, 'the body is larger than 1 MiB\n')
      const answer = await route({ method, path: url.pathname, query: url.searchParams, body })
      if (typeof answer === 'string') return reply(response, 200, answer)
      if ('json' in answer) {
        return reply(response, 200, `${JSON.stringify(answer.json, undefined, 2)}\n`, 'application/json')
      }
      return reply(response, answer.status, answer.text)
    },
    { host: options.host ?? '127.0.0.1', port: options.port ?? 15000, purpose: 'admin' },
  )
}
