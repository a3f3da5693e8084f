// Istio's HTTP metrics. Series live in plain numbers and meet prom-client only when somebody asks for them: hashing
// twenty labels for each request would cost more than the rest of the report.
import { errorTable } from '@wishbone/core/errors'
import { droppedSeries, type Metrics, maxSeries, type Sample, takeUnused, type Used } from '@wishbone/runtime/metrics'
import type { RequestRecord } from '../pipeline/record.ts'
import { type DestinationLabels, destinationOf } from './destination.ts'
import { HistogramSeries } from './histogram.ts'
import { type SourceLabels, sourceOf } from './source.ts'

/** `uses` are its requests. */
interface Series extends Used {
  isKept: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly duration: HistogramSeries
  readonly requestBytes: HistogramSeries
  readonly responseBytes: HistogramSeries
}

export interface HttpMetrics {
  record(record: RequestRecord): void
}

/** Registers the metrics. `reporter` says "waypoint", or "source" of gateways; it is asked when something is to be reported. */
export function createHttpMetrics(metrics: Metrics, reporter: () => string): HttpMetrics {
  const series = new Map<string, Series>()
  let bySource = new WeakMap<SourceLabels, WeakMap<DestinationLabels, Map<string, Series>>>()
  let gone = 0
  const dropped = droppedSeries(metrics).labels({ metric: 'istio_requests_total' })
  const register = (name: string, help: string, type: string, collect: () => Iterable<Sample>) => {
    const get = async () => ({ name, help, type, values: collect(), aggregator: 'sum' })
    // prom-client asks of a metric only its name and `get`; its types ask for one of its classes.
    metrics.registry.registerMetric({ name, get, reset: () => series.clear() } as never)
  }
  register('istio_requests_total', 'Requests handled.', 'counter', () =>
    [...series.values()].map(({ labels, uses }) => ({ sharedLabels: labels, value: uses })),
  )
  const histogram = (name: string, help: string, of: (series: Series) => HistogramSeries) =>
    register(name, help, 'histogram', () => samplesOfAll(name, [...series.values()], of))
  histogram('istio_request_duration_milliseconds', 'Time to the end of the response.', (one) => one.duration)
  histogram('istio_request_bytes', 'Size of request bodies.', (one) => one.requestBytes)
  histogram('istio_response_bytes', 'Size of response bodies.', (one) => one.responseBytes)

  const find = (record: RequestRecord): Series => {
    const source = sourceOf(record.context.connection)
    const destination = destinationOf(record)
    let byDestination = bySource.get(source)
    if (byDestination === undefined) bySource.set(source, (byDestination = new WeakMap()))
    let byOutcome = byDestination.get(destination)
    if (byOutcome === undefined) byDestination.set(destination, (byOutcome = new Map()))
    const flags = flagsOf(record)
    const protocol = protocolOf(record)
    const outcome = `${record.status}|${record.grpcStatus ?? ''}|${flags}|${protocol}`
    let found = byOutcome.get(outcome)
    if (found?.isKept) return found
    const labels = labelsOf(reporter(), source, destination, record, { flags, protocol })
    const key = Object.values(labels).join('\u0001')
    found = series.get(key)
    if (found === undefined) {
      if (series.size >= maxSeries) {
        // Whoever still has it begins anew: it would be counted where nobody looks.
        takeUnused(series).isKept = false
        dropped.inc()
        // They are found by what is remembered of their source still: as many again are enough to remember.
        if (++gone % maxSeries === 0) bySource = new WeakMap()
      }
      const empty = () => new HistogramSeries()
      found = {
        isKept: true,
        labels,
        uses: 0,
        usesSeen: 1,
        duration: empty(),
        requestBytes: empty(),
        responseBytes: empty(),
      }
      series.set(key, found)
    }
    byOutcome.set(outcome, found)
    return found
  }

  return {
    record(record) {
      const one = find(record)
      one.uses++
      one.duration.observe(record.durationMs)
      one.requestBytes.observe(record.requestBytes)
      one.responseBytes.observe(record.responseBytes)
    },
  }
}

/** Envoy's word for what went wrong, "-" when nothing did. */
export function flagsOf(record: RequestRecord): string {
  if (record.error !== undefined) return errorTable[record.error.code].responseFlag
  return record.detail === 'fault' ? 'FI' : '-'
}

function protocolOf({ context }: RequestRecord): 'grpc' | 'http' {
  return context.head.isGrpc ? 'grpc' : 'http'
}

function labelsOf(
  reporter: string,
  source: SourceLabels,
  destination: DestinationLabels,
  record: RequestRecord,
  { flags, protocol }: { readonly flags: string; readonly protocol: string },
): Readonly<Record<string, string>> {
  return {
    reporter,
    source_workload: source.workload,
    source_canonical_service: source.canonicalService,
    source_canonical_revision: source.canonicalRevision,
    source_workload_namespace: source.namespace,
    source_principal: source.principal,
    source_app: source.canonicalService,
    source_version: source.canonicalRevision,
    source_cluster: source.cluster,
    destination_workload: destination.workload,
    destination_workload_namespace: destination.namespace,
    destination_principal: destination.principal,
    destination_app: destination.canonicalService,
    destination_version: destination.canonicalRevision,
    destination_service: destination.service,
    destination_canonical_service: destination.canonicalService,
    destination_canonical_revision: destination.canonicalRevision,
    destination_service_name: destination.serviceName,
    destination_service_namespace: destination.serviceNamespace,
    destination_cluster: destination.cluster,
    request_protocol: protocol,
    response_code: String(record.status),
    grpc_response_status: record.grpcStatus ?? '',
    response_flags: flags,
    connection_security_policy: source.security,
  }
}

/** Made as they are read: all at once would be a million objects. */
function* samplesOfAll(
  name: string,
  all: readonly Series[],
  of: (series: Series) => HistogramSeries,
): Generator<Sample> {
  for (const one of all) yield* samplesOf(name, one, of(one))
}

function samplesOf(name: string, { labels, uses }: Series, histogram: HistogramSeries): Sample[] {
  const samples: Sample[] = []
  histogram.forEachBucket((le, value) =>
    samples.push({ metricName: `${name}_bucket`, labels: { le }, sharedLabels: labels, value }),
  )
  samples.push({ metricName: `${name}_sum`, sharedLabels: labels, value: histogram.sum })
  samples.push({ metricName: `${name}_count`, sharedLabels: labels, value: uses })
  return samples
}
