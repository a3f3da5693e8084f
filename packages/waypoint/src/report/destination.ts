// Who was called, as labels and log fields.
import { formatSpiffe } from '@wishbone/core/identity'
import { identityOf } from '@wishbone/core/mesh'
import type { RequestRecord } from '../pipeline/record.ts'

export interface DestinationLabels {
  readonly workload: string
  readonly namespace: string
  readonly canonicalService: string
  readonly canonicalRevision: string
  readonly principal: string
  readonly cluster: string
  readonly service: string
  readonly serviceName: string
  readonly serviceNamespace: string
}

const unknown = 'unknown'
const byObject = new WeakMap<object, DestinationLabels>()

/** From the endpoint that was tried last, else from the backend, else from the listener. */
export function destinationOf({ target, backend, context }: RequestRecord): DestinationLabels {
  const subject = target ?? backend ?? context.listener
  if (subject === undefined) return nothing
  let labels = byObject.get(subject)
  if (labels === undefined) byObject.set(subject, (labels = build({ target, backend, context })))
  return labels
}

function build({ target, backend, context }: Pick<RequestRecord, 'target' | 'backend' | 'context'>): DestinationLabels {
  const bound = context.listener?.bound
  const service = backend?.kind === 'service' ? backend : bound?.kind === 'service' ? bound : undefined
  const named = {
    service: service?.hostname ?? unknown,
    serviceName: service?.hostname.split('.')[0] ?? unknown,
    serviceNamespace: service?.namespace ?? unknown,
  }
  if (target === undefined) return { ...nothing, ...named }
  const { workload } = target
  return {
    workload: workload.workloadName || workload.name || unknown,
    namespace: workload.namespace || unknown,
    canonicalService: workload.canonicalName || unknown,
    canonicalRevision: workload.canonicalRevision || 'latest',
    principal: target.tunnel === null ? unknown : formatSpiffe(identityOf(workload)),
    cluster: workload.clusterId || 'Kubernetes',
    ...named,
  }
}

const nothing: DestinationLabels = {
  workload: unknown,
  namespace: unknown,
  canonicalService: unknown,
  canonicalRevision: 'latest',
  principal: unknown,
  cluster: unknown,
  service: unknown,
  serviceName: unknown,
  serviceNamespace: unknown,
}
