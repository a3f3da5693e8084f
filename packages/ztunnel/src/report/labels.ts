// The label values of Istio's TCP metrics (ambient wire §4.5). What is not known is "unknown".
import type { Workload } from '@wishbone/core/mesh'
import type { ConnectionEnds } from './ends.ts'

export const tcpLabels = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
] as const

export type TcpLabel = (typeof tcpLabels)[number]
export type TcpLabelValues = Readonly<Record<TcpLabel, string>>

/** The values for one connection, response flags excepted ("-"). */
export function labelsOf(ends: ConnectionEnds): TcpLabelValues {
  const { source, destination } = ends
  const from = source.workload
  const to = destination.workload
  const service = destination.service
  const mutual = source.identity !== undefined && destination.identity !== undefined
  return {
    reporter: ends.direction === 'outbound' ? 'source' : 'destination',
    source_workload: known(from?.workloadName),
    source_canonical_service: known(from?.canonicalName),
    source_canonical_revision: known(from?.canonicalRevision),
    source_workload_namespace: known(from?.namespace),
    source_principal: known(source.identity),
    source_app: known(from?.canonicalName),
    source_version: known(from?.canonicalRevision),
    source_cluster: clusterOf(from),
    destination_service: known(service?.hostname),
    destination_service_namespace: known(service?.namespace),
    destination_service_name: known(service?.name),
    destination_workload: known(to?.workloadName),
    destination_canonical_service: known(to?.canonicalName),
    destination_canonical_revision: known(to?.canonicalRevision),
    destination_workload_namespace: known(to?.namespace),
    destination_principal: known(destination.identity),
    destination_app: known(to?.canonicalName),
    destination_version: known(to?.canonicalRevision),
    destination_cluster: clusterOf(to),
    request_protocol: 'tcp',
    response_flags: '-',
    connection_security_policy: mutual ? 'mutual_tls' : 'unknown',
    source_region: known(from?.locality?.region),
    source_zone: known(from?.locality?.zone),
    destination_region: known(to?.locality?.region),
    destination_zone: known(to?.locality?.zone),
  }
}

function known(value: string | undefined): string {
  return value === undefined || value === '' ? 'unknown' : value
}

function clusterOf(workload: Workload | undefined): string {
  return workload === undefined ? 'unknown' : workload.clusterId || 'Kubernetes'
}
