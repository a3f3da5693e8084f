// Istio's TCP metrics (ambient wire §4.5) as handles that one connection keeps for its life.
import type { Counter, Metrics } from '@wishbone/runtime/metrics'
import { type TcpLabelValues, tcpLabels } from './labels.ts'

export interface SeriesOfConnection {
  readonly received: Pick<Counter, 'inc'>
  readonly sent: Pick<Counter, 'inc'>
  opened(): void
  closed(responseFlag: string): void
  failed(responseFlag: string): void
}

export interface TcpMetrics {
  series(labels: TcpLabelValues): SeriesOfConnection
}

/** `beforeScrape` runs first at each scrape: it brings the byte counters of live connections up to date. */
export function createTcpMetrics(metrics: Metrics, beforeScrape: () => void): TcpMetrics {
  // Registered first, so that its collect runs before the counters are read.
  metrics.gauge('istio_build', 'The component and its version.', ['component', 'tag'], (gauge) => {
    beforeScrape()
    gauge.labels({ component: 'ztunnel', tag: 'wishbone' }).set(1)
  })
  const openGauge = metrics.gauge('istio_tcp_sockets_open', 'Connections that are open now.', ['reporter'])
  const opened = metrics.counter('istio_tcp_connections_opened_total', 'Connections opened.', tcpLabels)
  const closed = metrics.counter('istio_tcp_connections_closed_total', 'Connections closed.', tcpLabels)
  const failed = metrics.counter(
    'istio_tcp_connections_failed_total',
    'Connections that ended with an error.',
    tcpLabels,
  )
  const received = metrics.counter('istio_tcp_received_bytes_total', 'Bytes from clients to applications.', tcpLabels)
  const sent = metrics.counter('istio_tcp_sent_bytes_total', 'Bytes from applications to clients.', tcpLabels)
  return {
    series(labels) {
      const gauge = openGauge.labels({ reporter: labels.reporter })
      return {
        received: received.labels(labels),
        sent: sent.labels(labels),
        opened() {
          opened.labels(labels).inc()
          gauge.inc()
        },
        closed(flag) {
          closed.labels({ ...labels, response_flags: flag }).inc()
          gauge.dec()
        },
        failed(flag) {
          failed.labels({ ...labels, response_flags: flag }).inc()
        },
      }
    },
  }
}
