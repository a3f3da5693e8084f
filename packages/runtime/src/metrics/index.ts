// Metrics of a program in a registry of its own, for Prometheus.
export { type Labels, maxSeries, takeUnused, type Used } from './bounded.ts'
export type { Sample } from './exposition.ts'
export {
  type Counter,
  createMetrics,
  droppedSeries,
  type Gauge,
  type Histogram,
  type HistogramOptions,
  type Metrics,
} from './metrics.ts'
