// What a pod belongs to, guessed from its owner as telemetry has always done (ambient wire §2.6).
import { workload } from '@wishbone/proto'
import type { Pod } from '../../kinds/index.ts'

const { WorkloadType } = workload

export interface PodOwner {
  readonly name: string
  readonly type: workload.WorkloadType
}

export function ownerOf(pod: Pod): PodOwner {
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller)
  if (!owner) return { name: pod.metadata.name, type: WorkloadType.POD }
  const hash = pod.metadata.labels?.['pod-template-hash']
  switch (owner.kind) {
    case 'ReplicaSet':
      if (hash && owner.name.endsWith(`-${hash}`)) {
        return { name: owner.name.slice(0, -hash.length - 1), type: WorkloadType.DEPLOYMENT }
      }
      return { name: owner.name, type: WorkloadType.POD }
    case 'Job': {
      // A CronJob's Jobs are named after it and the minute at which they were due.
      const cron = /^(.+)-\d{8,10}$/.exec(owner.name)?.[1]
      return cron ? { name: cron, type: WorkloadType.CRONJOB } : { name: owner.name, type: WorkloadType.JOB }
    }
    default:
      return { name: owner.name, type: WorkloadType.POD }
  }
}

/** Canonical service and revision, for telemetry. */
export function canonicalOf(pod: Pod, owner: PodOwner): { readonly name: string; readonly revision: string } {
  const labels = pod.metadata.labels ?? {}
  return {
    name: labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? owner.name,
    revision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
  }
}
