// Metrics of UDP ports. There are no names of Istio's for these.
import type { Metrics } from '@wishbone/runtime/metrics'
import type { UdpMetrics } from '../l4/udp-port.ts'

export function createUdpMetrics(metrics: Metrics): UdpMetrics {
  const datagrams = metrics.counter('wishbone_udp_datagrams_total', 'Datagrams of clients and for clients.', [
    'direction',
  ])
  const bytes = metrics.counter('wishbone_udp_bytes_total', 'Bytes of clients and for clients.', ['direction'])
  const flows = metrics.counter('wishbone_udp_flows_total', 'Flows that began and ended.', ['change'])
  const dropped = metrics.counter('wishbone_udp_dropped_total', 'Datagrams that went nowhere.', ['reason'])
  return {
    datagram(direction, size) {
      datagrams.labels({ direction }).inc()
      bytes.labels({ direction }).inc(size)
    },
    flow: (change) => void flows.labels({ change }).inc(),
    dropped: (reason) => void dropped.labels({ reason }).inc(),
  }
}
