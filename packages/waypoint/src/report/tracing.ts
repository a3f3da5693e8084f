// OpenTelemetry spans: one for each request, a child of the client's and the parent of what the backend makes. Loaded
// only when an endpoint is set; the exporter reads OTEL_EXPORTER_OTLP_* itself.
import { type Attributes, context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import { type Logger, Repeats } from '@wishbone/runtime/log'
import type { RequestContext } from '../pipeline/context.ts'
import type { RequestRecord } from '../pipeline/record.ts'
import type { RequestTrace } from '../pipeline/services.ts'
import { copyOf } from './copy-of.ts'
import { destinationOf } from './destination.ts'
import { flagsOf } from './metrics.ts'

/** What is left is sent or lost by then: a collector that is gone keeps no proxy. */
const stopMs = 3_000
/** Thousands of spans wait for a collector that is away, and clients write what is in them. */
const longestText = 2_048

export interface Tracing {
  readonly trace: (context: RequestContext) => RequestTrace
  /** Sends what is left. Rejects when that fails or takes too long. */
  stop(): Promise<void>
}

export interface TracedProxy {
  readonly podName: string
  readonly podNamespace: string
  readonly gatewayName: string
}

/** OTEL_SERVICE_NAME names the service; otherwise it is `<gateway>.<namespace>`, as Istio names proxies in spans. */
export function startTracing({ podName, podNamespace, gatewayName }: TracedProxy, log: Pick<Logger, 'warn'>): Tracing {
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': process.env['OTEL_SERVICE_NAME'] ?? `${gatewayName}.${podNamespace}`,
      'k8s.pod.name': podName,
      'k8s.namespace.name': podNamespace,
    }),
    spanProcessors: [new BatchSpanProcessor(saying(new OTLPTraceExporter(), log))],
  })
  const tracer = provider.getTracer('wishbone-waypoint')
  return {
    trace: (request) => {
      const { head, match } = request
      const parent = parseTraceparent(head.header('traceparent'))
      const parentContext = parent === undefined ? context.active() : trace.setSpanContext(context.active(), parent)
      const method = short(head.method)
      const name = match.kind === 'match' ? `${method} ${match.rule.name}` : method
      const attributes = requestAttributes(request)
      const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parentContext)
      const { traceId, spanId, traceFlags } = span.spanContext()
      return {
        traceId,
        headers: [['traceparent', `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`]],
        end(record: RequestRecord) {
          if (span.isRecording()) {
            span.setAttributes(responseAttributes(record))
            const error = errorOf(record)
            if (error !== undefined) {
              span.setAttribute('error.type', error.type)
              span.setStatus({ code: SpanStatusCode.ERROR, ...(error.message && { message: error.message }) })
            }
          }
          span.end()
        },
      }
    },
    async stop() {
      const { promise: late, reject } = Promise.withResolvers<never>()
      const timer = setTimeout(() => reject(new Error(`the collector has not answered for ${stopMs} ms`)), stopMs)
      await Promise.race([provider.shutdown(), late]).finally(() => clearTimeout(timer))
    },
  }
}

/** Says what is lost: the SDK keeps it to itself. */
function saying(exporter: SpanExporter, log: Pick<Logger, 'warn'>): SpanExporter {
  const repeats = new Repeats({ windowMs: 60_000 })
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error !== undefined) {
          const error = result.error.message
          repeats.write(error, (left) =>
            log.warn('spans are lost: the trace collector does not take them', { spans: spans.length, error, ...left }),
          )
        }
        done(result)
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  }
}

/** Cut where it is too long, and told so. */
function short(text: string): string {
  return `${copyOf(text, longestText)}${text.length > longestText ? '…' : ''}`
}

/** Semantic conventions of HTTP server spans; the connection's other end is the client. */
function requestAttributes({ head, connection, listener }: RequestContext): Attributes {
  const userAgent = head.header('user-agent')
  const { path, query } = head
  // Longer ones are no ports, and too large for a collector to read.
  const [, port] = /:(\d{1,5})$/.exec(head.authority) ?? []
  return {
    'http.request.method': short(head.method),
    'url.scheme': connection.scheme,
    'url.path': short(path),
    ...(query === '' ? {} : { 'url.query': short(query) }),
    'server.address': short(head.host),
    'server.port': port === undefined ? connection.port : Number(port),
    'network.protocol.version': head.isHttp2 ? '2' : '1.1',
    'network.peer.address': connection.clientIp,
    'network.peer.port': connection.clientPort,
    'client.address': connection.clientIp,
    ...(userAgent === undefined ? {} : { 'user_agent.original': short(userAgent) }),
    ...(listener === undefined ? {} : { 'wishbone.listener': listener.name }),
  }
}

function responseAttributes(record: RequestRecord): Attributes {
  const { status, target, tries, grpcStatus } = record
  const { service, workload, namespace } = destinationOf(record)
  return {
    // Without one the client went away before any answer.
    ...(status === 0 ? {} : { 'http.response.status_code': status }),
    // A number that is none makes collectors refuse all spans that are sent with it.
    ...(grpcStatus === undefined || grpcStatus === 'invalid' ? {} : { 'rpc.grpc.status_code': Number(grpcStatus) }),
    'wishbone.response_flags': flagsOf(record),
    'wishbone.destination.service': service,
    ...(target === undefined
      ? {}
      : {
          'wishbone.upstream.address': target.label,
          'wishbone.upstream.workload': workload,
          'wishbone.upstream.namespace': namespace,
        }),
    ...(tries > 1 ? { 'http.request.resend_count': tries - 1 } : {}),
  }
}

/** gRPC statuses that a server answers for (OpenTelemetry: RPC conventions). */
const grpcErrors = new Set(['2', '4', '12', '13', '14', '15'])

/** What the span is marked with: a refusal that is the client's own fault is none. */
function errorOf({ status, error, grpcStatus }: RequestRecord): { type: string; message?: string } | undefined {
  if (status >= 500 || status === 0 || (error !== undefined && status < 400))
    return error === undefined ? { type: String(status) } : { type: error.code, message: error.message }
  return grpcStatus !== undefined && grpcErrors.has(grpcStatus) ? { type: grpcStatus } : undefined
}

const form = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,512})?$/

/** W3C Trace Context §3.2: only versions to come may say more. */
function parseTraceparent(header: string | undefined) {
  const [, version, traceId, spanId, flags, more] = form.exec(header ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId) || (version === '00' && more !== undefined)) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}
