// Metrics and readiness. Readiness names what it waits for, so that a pod that stays unready explains itself.
import type { Metrics } from '../metrics/index.ts'
import { reply, replyInPieces, type StartedServer, startServer } from './server.ts'

export interface StatusOptions {
  readonly metrics: Metrics
  /** What readiness still waits for; empty = ready. */
  readonly ready: () => readonly string[]
  readonly ports?: { readonly metrics?: number; readonly ready?: number }
  readonly host?: string
  /** Further paths on the metrics port, such as /debug/…, by path. */
  readonly routes?: Readonly<Record<string, () => string | Promise<string>>>
}

export interface StatusServers extends AsyncDisposable {
  readonly metricsPort: number
  readonly readyPort: number
}

const exposition = 'text/plain; version=0.0.4; charset=utf-8'
const readyPaths = new Set(['/healthz/ready', '/ready', '/readyz'])

/** Starts :15020 (/metrics, /stats/prometheus) and :15021 (/healthz/ready, /ready); both answer both if the ports are equal. */
export async function startStatusServers(options: StatusOptions): Promise<StatusServers> {
  const metricsPort = options.ports?.metrics ?? 15020
  const readyPort = options.ports?.ready ?? 15021
  const handle: Parameters<typeof startServer>[0] = async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    if (path === '/metrics' || path === '/stats/prometheus') {
      return replyInPieces(response, options.metrics.pieces(), exposition)
    }
    if (readyPaths.has(path)) {
      const pending = options.ready()
      if (pending.length === 0) return reply(response, 200, 'ready\n')
      return reply(response, 503, `not ready, waiting for: ${pending.join(', ')}\n`)
    }
    // Alive as long as the loop turns: a program that is not ready must not be restarted for it.
    if (path === '/healthz' || path === '/livez') return reply(response, 200, 'ok\n')
    const route = options.routes?.[path]
    if (route) return reply(response, 200, await route())
    return reply(response, 404, 'not found; see /metrics and /healthz/ready\n')
  }
  const host = options.host
  const started: StartedServer[] = [await startServer(handle, { host, port: metricsPort, purpose: 'metrics' })]
  try {
    if (readyPort !== metricsPort || readyPort === 0) {
      started.push(await startServer(handle, { host, port: readyPort, purpose: 'readiness' }))
    }
  } catch (cause) {
    await started[0]?.[Symbol.asyncDispose]()
    throw cause
  }
  return {
    metricsPort: started[0]?.port ?? metricsPort,
    readyPort: (started[1] ?? started[0])?.port ?? readyPort,
    async [Symbol.asyncDispose]() {
      for (const server of started) await server[Symbol.asyncDispose]()
    },
  }
}
