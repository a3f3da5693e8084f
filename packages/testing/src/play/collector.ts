// An OpenTelemetry collector for pods: takes traces over HTTP on 4318, in JSON, and shows what came at GET /spans.
import http from 'node:http'

interface KeyValue {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Attributes {
  readonly attributes: readonly KeyValue[]
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: Attributes
    readonly scopeSpans: readonly { readonly spans: readonly (Attributes & Readonly<Record<string, unknown>>)[] }[]
  }[]
}

/** One span, with attributes as plain values. */
export interface Received {
  readonly resource: Readonly<Record<string, unknown>>
  readonly attributes: Readonly<Record<string, unknown>>
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status: { readonly code?: number; readonly message?: string }
}

const received: unknown[] = []

function plain({ attributes }: Attributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

async function take(request: http.IncomingMessage): Promise<number> {
  if (request.headers['content-type'] !== 'application/json') return 415
  let text = ''
  for await (const chunk of request) text += String(chunk)
  for (const { resource, scopeSpans } of (JSON.parse(text) as Export).resourceSpans)
    for (const { spans } of scopeSpans)
      for (const span of spans) received.push({ ...span, resource: plain(resource), attributes: plain(span) })
  return 200
}

http
  .createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.method === 'POST' && request.url === '/v1/traces')
      take(request).then(
        (status) => response.writeHead(status).end('{}'),
        () => response.writeHead(400).end('{}'),
      )
    else response.end(JSON.stringify(received))
  })
  .listen(4318)

process.on('SIGTERM', () => process.exit(0))
