// OpenTelemetry spans: one for each request, a child of the client's and the parent of what the backend makes. Loaded
// only when an endpoint is set; the exporter reads OTEL_EXPORTER_OTLP_* itself.
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import type { RequestContext } from '../pipeline/context.ts'
import type { RequestRecord } from '../pipeline/record.ts'
import type { RequestTrace } from '../pipeline/services.ts'
import { destinationOf } from './destination.ts'
import { flagsOf } from './metrics.ts'

export interface Tracing {
  readonly trace: (context: RequestContext) => RequestTrace
  /** Sends what is left. */
  stop(): Promise<void>
}

export function startTracing({
  podName,
  podNamespace,
}: {
  readonly podName: string
  readonly podNamespace: string
}): Tracing {
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': process.env['OTEL_SERVICE_NAME'] ?? 'wishbone-waypoint',
      'k8s.pod.name': podName,
      'k8s.namespace.name': podNamespace,
    }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  })
  const tracer = provider.getTracer('wishbone-waypoint')
  return {
    trace: ({ head, match }) => {
      const parent = parseTraceparent(head.header('traceparent'))
      const parentContext = parent === undefined ? context.active() : trace.setSpanContext(context.active(), parent)
      const name = match.kind === 'match' ? `${head.method} ${match.rule.name}` : head.method
      const attributes = { 'http.request.method': head.method, 'url.path': head.path, 'server.address': head.host }
      const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parentContext)
      const { traceId, spanId, traceFlags } = span.spanContext()
      return {
        traceId,
        headers: [['traceparent', `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`]],
        end(record: RequestRecord) {
          span.setAttribute('http.response.status_code', record.status)
          span.setAttribute('wishbone.response_flags', flagsOf(record))
          span.setAttribute('wishbone.destination_service', destinationOf(record).service)
          if (record.target !== undefined) span.setAttribute('network.peer.address', record.target.label)
          if (record.tries > 1) span.setAttribute('http.request.resend_count', record.tries - 1)
          if (record.status >= 500 || record.error !== undefined)
            span.setStatus({ code: SpanStatusCode.ERROR, ...(record.error && { message: record.error.message }) })
          span.end()
        },
      }
    },
    stop: () => provider.shutdown(),
  }
}

const form = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

/** W3C Trace Context §3.2. */
function parseTraceparent(header: string | undefined) {
  const found = header === undefined ? null : form.exec(header)
  if (found === null || /^0+$/.test(found[1]!) || /^0+$/.test(found[2]!)) return undefined
  return { traceId: found[1]!, spanId: found[2]!, traceFlags: Number.parseInt(found[3]!, 16), isRemote: true }
}
