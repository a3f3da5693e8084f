// A plain HTTP/1.1 client without retries: what a request's outcome is, an error included.
import { Agent, type IncomingHttpHeaders, request } from 'node:http'

export interface Outcome {
  readonly status?: number
  readonly headers?: IncomingHttpHeaders
  readonly body?: string
  readonly ms: number
  readonly error?: string
}

export interface HttpClientOptions {
  readonly keepAlive: boolean
  readonly timeoutMs: number
  readonly headers?: Readonly<Record<string, string>>
}

export interface HttpClient {
  get(url: string): Promise<Outcome>
  close(): void
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const agent = new Agent({
    keepAlive: options.keepAlive,
    maxSockets: options.keepAlive ? 1 : Number.POSITIVE_INFINITY,
  })
  return {
    get(url) {
      const started = performance.now()
      return new Promise((resolve) => {
        const ms = (): number => Math.round(performance.now() - started)
        const message = request(url, { agent, headers: options.headers ?? {} }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', (error) => resolve({ ms: ms(), error: `body: ${error.message}` }))
          response.on('end', () => {
            clearTimeout(timer)
            const body = Buffer.concat(chunks).toString('utf8')
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body, ms: ms() })
          })
        })
        const timer = setTimeout(
          () => message.destroy(new Error(`no answer in ${options.timeoutMs} ms`)),
          options.timeoutMs,
        )
        message.on('error', (error) => {
          clearTimeout(timer)
          resolve({ ms: ms(), error: (error as NodeJS.ErrnoException).code ?? error.message })
        })
        message.end()
      })
    },
    close: () => agent.destroy(),
  }
}
