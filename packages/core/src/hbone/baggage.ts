// Who the peer's workload is, for telemetry only: never for a decision (ambient wire §1.2).
import type { workload as proto } from '@wishbone/proto'

export type BaggageWorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job'

/** Absent and empty are the same. */
export interface Baggage {
  readonly cluster?: string
  readonly namespace?: string
  readonly workloadType?: BaggageWorkloadType
  readonly workloadName?: string
  /** Canonical name. */
  readonly service?: string
  /** Canonical revision. */
  readonly revision?: string
  readonly region?: string
  readonly zone?: string
}

const types: readonly BaggageWorkloadType[] = ['deployment', 'cronjob', 'pod', 'job']
const maxBytes = 8192

/** The header's value; only members with a value appear, in the order of the specification. */
export function formatBaggage(fields: Baggage): string {
  const parts: string[] = []
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined && value !== '' && !/[,=\r\n\0]/.test(value)) parts.push(`${key}=${value}`)
  }
  add('k8s.cluster.name', fields.cluster)
  add('k8s.namespace.name', fields.namespace)
  add(`k8s.${fields.workloadType ?? 'deployment'}.name`, fields.workloadName)
  add('service.name', fields.service)
  add('service.version', fields.revision)
  add('cloud.region', fields.region)
  add('cloud.availability_zone', fields.zone)
  return parts.join(',')
}

/** Reads one header or several lines of it. Unknown keys, empty values and parts without "=" are skipped; the last of equal keys wins. */
export function parseBaggage(header: string | readonly string[]): Baggage {
  const text = typeof header === 'string' ? header : header.join(',')
  const fields: { -readonly [K in keyof Baggage]: Baggage[K] } = {}
  for (const part of text.slice(0, maxBytes).split(',')) {
    const equals = part.indexOf('=')
    if (equals < 0) continue
    const value = part.slice(equals + 1).trim()
    if (value !== '') setField(fields, part.slice(0, equals).trim(), value)
  }
  return fields
}

function setField(fields: { -readonly [K in keyof Baggage]: Baggage[K] }, key: string, value: string): void {
  if (key === 'k8s.cluster.name') fields.cluster = value
  else if (key === 'k8s.namespace.name') fields.namespace = value
  else if (key === 'service.name') fields.service = value
  else if (key === 'service.version') fields.revision = value
  else if (key === 'cloud.region') fields.region = value
  else if (key === 'cloud.availability_zone') fields.zone = value
  else {
    const type = types.find((candidate) => key === `k8s.${candidate}.name`)
    if (type !== undefined) {
      fields.workloadType = type
      fields.workloadName = value
    }
  }
}

/** The baggage that describes a workload. */
export function baggageOf(workload: proto.Workload): Baggage {
  return {
    cluster: workload.clusterId || 'Kubernetes',
    namespace: workload.namespace,
    workloadType: types[workload.workloadType] ?? 'deployment',
    workloadName: workload.workloadName,
    service: workload.canonicalName,
    revision: workload.canonicalRevision,
    region: workload.locality?.region ?? '',
    zone: workload.locality?.zone ?? '',
  }
}
