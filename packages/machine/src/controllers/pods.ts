// Pods made from templates, and their status in numbers.
import { createHash } from 'node:crypto'
import { controllerReference, randomSuffix } from '../api/objects/object.ts'
import { type Pod, type PodTemplate, podIsOver, podIsReady, type Workload } from '../types.ts'

/** Without the order of fields and without empty ones, which clients write as they like. */
function essence(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(essence)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value)
    .map(([key, field]) => [key, essence(field)] as const)
    .filter(([, field]) => field !== null && field !== undefined && JSON.stringify(field) !== '{}')
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** A short stable name for a template, as Deployments put into the names of their ReplicaSets. */
export function templateHash(template: PodTemplate): string {
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  const digest = createHash('sha256')
    .update(JSON.stringify(essence(template)))
    .digest()
  return [...digest.subarray(0, 9)].map((byte) => letters[byte % letters.length]).join('')
}

export interface PodOptions {
  readonly name?: string
  readonly nodeName?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly hostname?: string
  readonly subdomain?: string
}

export function podFrom(owner: Workload, options: PodOptions = {}): Pod {
  const { template } = owner.spec
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: options.name ?? `${owner.metadata.name}-${randomSuffix()}`,
      ...(owner.metadata.namespace === undefined ? {} : { namespace: owner.metadata.namespace }),
      labels: { ...template.metadata?.labels, ...options.labels },
      ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
      ownerReferences: [controllerReference(owner)],
    },
    spec: {
      ...template.spec,
      ...(options.nodeName ? { nodeName: options.nodeName } : {}),
      ...(options.hostname ? { hostname: options.hostname } : {}),
      ...(options.subdomain ? { subdomain: options.subdomain } : {}),
    },
  }
}

export function isActive(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && !podIsOver(pod)
}

/** Which pods to remove first: not yet placed, not ready, youngest. */
export function byExpendability(a: Pod, b: Pod): number {
  const rank = (pod: Pod): number => (pod.spec.nodeName ? 1 : 0) + (podIsReady(pod) ? 2 : 0)
  return rank(a) - rank(b) || (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '')
}

export function sameFields(
  now: Readonly<Record<string, unknown>> | undefined,
  wanted: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => JSON.stringify(now?.[key]) === JSON.stringify(value))
}
