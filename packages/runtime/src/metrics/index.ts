// Metrics of a program in a registry of its own, for Prometheus.
export {
  type Counter,
  createMetrics,
  type Gauge,
  type Histogram,
  type HistogramOptions,
  type Labels,
  type Metrics,
} from './metrics.ts'
