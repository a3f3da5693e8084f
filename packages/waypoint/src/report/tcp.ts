// Istio's TCP metrics and one log line for each connection that was carried as bytes.
import { errorTable, type MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'
import type { Logger } from '@wishbone/runtime/log'
import type { Metrics } from '@wishbone/runtime/metrics'
import type { ListenerTable } from '../compile/index.ts'
import type { Target } from '../forward/target.ts'
import type { JoinResult } from '../l4/join.ts'
import type { Connection } from '../server/connection.ts'
import { sourceOf } from './source.ts'

export interface TcpMetrics {
  opened(
    connection: Connection,
    listener: ListenerTable,
    target: Target,
  ): { closed(result: JoinResult, durationMs: number): void }
  refused(connection: Connection, listener: ListenerTable, error: MeshError): void
}

const labelNames = [
  'reporter',
  'source_workload',
  'source_workload_namespace',
  'source_principal',
  'destination_workload',
  'destination_workload_namespace',
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
] as const

export function createTcpMetrics(metrics: Metrics, reporter: () => string, log: Logger): TcpMetrics {
  const opened = metrics.counter('istio_tcp_connections_opened_total', 'Connections opened.', labelNames)
  const closed = metrics.counter('istio_tcp_connections_closed_total', 'Connections closed.', labelNames)
  const sent = metrics.counter('istio_tcp_sent_bytes_total', 'Bytes sent to clients.', labelNames)
  const received = metrics.counter('istio_tcp_received_bytes_total', 'Bytes received from clients.', labelNames)
  const labelsOf = (connection: Connection, listener: ListenerTable, target: Target | undefined, flags: string) => {
    const source = sourceOf(connection)
    const hostname = listener.bound.kind === 'service' ? listener.bound.hostname : 'unknown'
    return {
      reporter: reporter(),
      source_workload: source.workload,
      source_workload_namespace: source.namespace,
      source_principal: source.principal,
      destination_workload: target?.workload.workloadName ?? 'unknown',
      destination_workload_namespace: target?.workload.namespace ?? 'unknown',
      destination_service: hostname,
      destination_service_name: hostname.split('.')[0]!,
      destination_service_namespace: listener.bound.kind === 'service' ? listener.bound.namespace : 'unknown',
      request_protocol: 'tcp',
      response_flags: flags,
      connection_security_policy: source.security,
    }
  }
  return {
    opened(connection, listener, target) {
      const labels = labelsOf(connection, listener, target, '-')
      opened.labels(labels).inc()
      return {
        closed(result, durationMs) {
          closed.labels(labels).inc()
          received.labels(labels).inc(result.sent)
          sent.labels(labels).inc(result.received)
          log.info('connection complete', {
            'src.addr': formatSocketAddress(connection.clientIp, connection.clientPort),
            'src.identity': connection.peer === undefined ? undefined : sourceOf(connection).principal,
            listener: listener.name,
            'dst.addr': target.label,
            'dst.workload': target.workload.name,
            bytes_sent: result.sent,
            bytes_received: result.received,
            duration_ms: Math.round(durationMs),
            error: result.error?.message,
          })
        },
      }
    },
    refused(connection, listener, error) {
      const labels = labelsOf(connection, listener, undefined, errorTable[error.code].responseFlag)
      opened.labels(labels).inc()
      closed.labels(labels).inc()
    },
  }
}
