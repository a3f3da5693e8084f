// Jobs: pods that run to their end, `completions` of them, `parallelism` at a time, `backoffLimit` failures allowed.
import { splitKey, timestamp } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Context, createQueue, ownedBy, watchOwned } from './context.ts'
import { isActive, podFrom, sameFields } from './pods.ts'

export function startJobs(context: Context): void {
  const { client, mirrors } = context
  const expected = new Map<string, Set<string>>()
  const enqueue = createQueue(context, 'Job', async (key) => {
    const [namespace, name] = splitKey(key)
    const job = mirrors.jobs.get(namespace, name)
    if (!job || job.metadata.deletionTimestamp) return void expected.delete(key)
    const pods = ownedBy(mirrors.pods, job)
    const awaited = expected.get(key) ?? new Set<string>()
    expected.set(key, awaited)
    for (const pod of pods) awaited.delete(pod.metadata.name)
    const succeeded = pods.filter((pod) => pod.status?.phase === 'Succeeded').length
    const failed = pods.filter((pod) => pod.status?.phase === 'Failed').length
    const active = pods.filter(isActive).length + awaited.size
    const completions = job.spec.completions ?? 1
    const complete = succeeded >= completions
    const over = complete || failed > (job.spec.backoffLimit ?? 6)
    for (let count = active; !over && count < Math.min(job.spec.parallelism ?? 1, completions - succeeded); count++) {
      const pod = podFrom(job, { labels: { 'job-name': name, 'batch.kubernetes.io/job-name': name } })
      awaited.add(pod.metadata.name)
      try {
        await client.create(resources.pods, pod)
      } catch (cause) {
        awaited.delete(pod.metadata.name)
        throw cause
      }
    }
    const status = {
      active: over ? 0 : Math.max(active, 0),
      succeeded,
      failed,
      ...(job.status?.['startTime'] ? {} : { startTime: timestamp() }),
      ...(over && !job.status?.['conditions']
        ? {
            ...(complete ? { completionTime: timestamp() } : {}),
            conditions: [
              complete
                ? { type: 'Complete', status: 'True', lastTransitionTime: timestamp() }
                : { type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', lastTransitionTime: timestamp() },
            ],
          }
        : {}),
    }
    if (!sameFields(job.status, status)) await client.patch(resources.jobs, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.jobs, mirrors.pods, 'Job', enqueue)
}
