// The fields of one access-log line, in the order of ambient wire §4.6. Absent members are left out.
import type { MeshError } from '@wishbone/core/errors'
import type { ConnectionEnds } from './ends.ts'

export interface ConnectionCounts {
  /** Bytes from the client towards the application. */
  readonly request: number
  readonly response: number
  readonly durationMs: number
}

export function accessFields(
  ends: ConnectionEnds,
  counts?: ConnectionCounts,
  error?: MeshError,
): Record<string, unknown> {
  const { source, destination, direction } = ends
  const fields: Record<string, unknown> = { 'src.addr': source.address }
  const put = (key: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') fields[key] = value
  }
  put('src.workload', source.workload?.name)
  put('src.namespace', source.workload?.namespace)
  put('src.identity', source.identity)
  put('src.cluster', source.workload?.clusterId)
  put('dst.addr', destination.address)
  put('dst.hbone_addr', destination.hboneAddress)
  put('dst.service', destination.service?.hostname)
  put('dst.workload', destination.workload?.name)
  put('dst.namespace', destination.workload?.namespace)
  put('dst.identity', destination.identity)
  put('dst.cluster', destination.workload?.clusterId)
  fields['direction'] = direction
  if (counts !== undefined) {
    fields['bytes_sent'] = direction === 'outbound' ? counts.request : counts.response
    fields['bytes_recv'] = direction === 'outbound' ? counts.response : counts.request
    fields['duration'] = `${Math.round(counts.durationMs)}ms`
  }
  if (error !== undefined) fields['error'] = error.describe()
  return fields
}
