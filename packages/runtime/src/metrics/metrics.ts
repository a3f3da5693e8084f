// prom-client behind handles that are cheap on a hot path: `labels()` resolves a set of label values once and the
// handle it returns adds without hashing. Names and labels are the caller's; ambient wire §4.5 lists those that are fixed.
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client'
import { boundedSeries, type CounterHandle, type Labels } from './bounded.ts'
import { expose } from './exposition.ts'

export interface GaugeHandle {
  inc(by?: number): void
  dec(by?: number): void
  set(value: number): void
}
export interface HistogramHandle {
  observe(value: number): void
}

/** `labels` gives the series' handle; keep it while the series is in use. `inc` without labels is for metrics that have none. */
export interface Counter<K extends string = never> {
  labels(values: Labels<K>): CounterHandle
  inc(by?: number): void
}
export interface Gauge<K extends string = never> {
  labels(values: Labels<K>): GaugeHandle
  set(value: number): void
  inc(by?: number): void
  dec(by?: number): void
  /** Forgets a series whose object is gone. */
  remove(values: Labels<K>): void
  /** Empties all series; for gauges that are filled anew at each scrape. */
  reset(): void
}
export interface Histogram<K extends string = never> {
  labels(values: Labels<K>): HistogramHandle
  observe(value: number): void
}

export interface HistogramOptions {
  readonly buckets?: readonly number[]
}

export interface Metrics {
  readonly registry: Registry
  counter<const K extends string = never>(name: string, help: string, labels?: readonly K[]): Counter<K>
  gauge<const K extends string = never>(
    name: string,
    help: string,
    labels?: readonly K[],
    collect?: (gauge: Gauge<K>) => void,
  ): Gauge<K>
  histogram<const K extends string = never>(
    name: string,
    help: string,
    labels?: readonly K[],
    options?: HistogramOptions,
  ): Histogram<K>
  /** The exposition text. */
  text(): Promise<string>
  /** The same, for readers that take it bit by bit. */
  pieces(): AsyncIterable<string>
}

export interface MetricsOptions {
  /** Also the process's own metrics (memory, event loop, garbage collection). Default true. */
  readonly process?: boolean
}

const keyIn =
  <K extends string>(names: readonly K[]) =>
  (values: Labels<K>): string => {
    let key = ''
    for (const name of names) key += `${values[name]}\u0000`
    return key
  }

/** Handles by label values, so that a series is resolved by prom-client once. */
function cached<K extends string, H>(names: readonly K[], make: (values: Labels<K>) => H) {
  const handles = new Map<string, H>()
  const keyOf = keyIn(names)
  return {
    get(values: Labels<K>): H {
      const key = keyOf(values)
      let handle = handles.get(key)
      if (handle === undefined) {
        handle = make(values)
        handles.set(key, handle)
      }
      return handle
    },
    forget: (values: Labels<K>) => handles.delete(keyOf(values)),
    clear: () => handles.clear(),
  }
}

/** Seconds. A collection stops the program meanwhile; more than 20 ms of that is noticed. */
const gcDurationBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5]

/** Counts what had to give its place in a metric that has as many series as there is room for. */
export function droppedSeries(metrics: Pick<Metrics, 'counter'>): Counter<'metric'> {
  const help = 'Series that gave their place to others: the metric has as many as a program keeps.'
  return metrics.counter('wishbone_metric_series_dropped_total', help, ['metric'])
}

/** Makes the metrics of one program. Asking twice for the same name gives metrics over the same series. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry()
  if (options.process !== false) collectDefaultMetrics({ register: registry, gcDurationBuckets })
  const made = new Map<string, unknown>()
  const once = <T>(name: string, make: () => T): T => {
    const known = made.get(name)
    if (known !== undefined) return known as T
    const metric = make()
    made.set(name, metric)
    return metric
  }

  const metrics: Metrics = {
    registry,
    async text() {
      let all = ''
      for await (const piece of expose(registry)) all += piece
      return all
    },
    pieces: () => expose(registry),
    counter<const K extends string = never>(name: string, help: string, labels: readonly K[] = []): Counter<K> {
      return once(name, () => {
        const counter = new PromCounter<K>({ name, help, labelNames: labels, registers: [registry] })
        const onDrop = () => droppedSeries(metrics).labels({ metric: name }).inc()
        return { labels: boundedSeries(counter, keyIn(labels), onDrop), inc: (by?: number) => counter.inc(by ?? 1) }
      })
    },
    gauge<const K extends string = never>(
      name: string,
      help: string,
      labels: readonly K[] = [],
      collect?: (gauge: Gauge<K>) => void,
    ): Gauge<K> {
      return once(name, () => {
        const fill = collect ? { collect: () => collect(result) } : {}
        const gauge = new PromGauge<K>({ name, help, labelNames: labels, registers: [registry], ...fill })
        const handles = cached(labels, (values) => gauge.labels(values))
        const result: Gauge<K> = {
          labels: handles.get,
          set: (value) => gauge.set(value),
          inc: (by) => gauge.inc(by ?? 1),
          dec: (by) => gauge.dec(by ?? 1),
          remove(values) {
            handles.forget(values)
            gauge.remove(values)
          },
          reset() {
            handles.clear()
            gauge.reset()
          },
        }
        return result
      })
    },
    histogram<const K extends string = never>(
      name: string,
      help: string,
      labels: readonly K[] = [],
      histogramOptions: HistogramOptions = {},
    ): Histogram<K> {
      return once(name, () => {
        const buckets = histogramOptions.buckets ? { buckets: [...histogramOptions.buckets] } : {}
        const histogram = new PromHistogram<K>({ name, help, labelNames: labels, registers: [registry], ...buckets })
        const handles = cached(labels, (values) => histogram.labels(values))
        return { labels: handles.get, observe: (value: number) => histogram.observe(value) }
      })
    },
  }
  return metrics
}
