// Deployments: one ReplicaSet per template; a new template takes over step by step, or at once with `Recreate`.
import { controllerReference, splitKey, timestamp } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import type { Workload } from '../types.ts'
import { type Context, createQueue, ownedBy, watchOwned } from './context.ts'
import { sameFields, templateHash } from './pods.ts'

const number = (set: Workload, field: string): number => Number(set.status?.[field] ?? 0)

/** Kubernetes' annotation that `kubectl rollout history` and `undo` read. */
const revision = 'deployment.kubernetes.io/revision'
const revisionOf = (set: Workload): number => Number(set.metadata.annotations?.[revision] ?? 0)

export interface Rollout {
  readonly current: number
  /** By name: how many each older ReplicaSet keeps. */
  readonly older: Readonly<Record<string, number>>
}

/**
 * How many replicas the current and the older ReplicaSets should have next. Never fewer ready pods than `wanted` as long
 * as there are so many, never more than one above it. Pure.
 */
export function planRollout(
  wanted: number,
  recreate: boolean,
  current: Workload | undefined,
  older: readonly Workload[],
): Rollout {
  const replicas = (set: Workload): number => set.spec.replicas ?? 1
  const total = older.reduce((sum, set) => sum + Math.max(replicas(set), number(set, 'replicas')), 0)
  if (recreate)
    return { current: total === 0 ? wanted : 0, older: Object.fromEntries(older.map((set) => [set.metadata.name, 0])) }
  const next = Math.min(wanted, Math.max(current ? replicas(current) : 0, wanted + 1 - total))
  const ready = current ? Math.min(number(current, 'readyReplicas'), next) : 0
  let keep = Math.max(0, wanted - ready)
  const plan: Record<string, number> = {}
  for (const set of older) {
    plan[set.metadata.name] = Math.min(replicas(set), keep)
    keep -= plan[set.metadata.name] ?? 0
  }
  return { current: next, older: plan }
}

export function startDeployments(context: Context): void {
  const { client, mirrors } = context
  const enqueue = createQueue(context, 'Deployment', async (key) => {
    const [namespace, name] = splitKey(key)
    const deployment = mirrors.deployments.get(namespace, name)
    if (!deployment || deployment.metadata.deletionTimestamp) return
    const hash = templateHash(deployment.spec.template)
    const sets = ownedBy(mirrors.replicaSets, deployment)
    const current = sets.find((set) => set.metadata.name === `${name}-${hash}`)
    const older = sets.filter((set) => set !== current)
    const wanted = deployment.spec.replicas ?? 1
    const newest = Math.max(0, ...older.map(revisionOf))
    const plan = planRollout(wanted, deployment.spec.strategy?.type === 'Recreate', current, older)
    if (!current) {
      const labels = { ...deployment.spec.template.metadata?.labels, 'pod-template-hash': hash }
      await client.create(resources.replicaSets, {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: {
          name: `${name}-${hash}`,
          namespace,
          labels,
          annotations: { [revision]: String(newest + 1) },
          ownerReferences: [controllerReference(deployment)],
        },
        spec: {
          replicas: plan.current,
          selector: { matchLabels: { ...deployment.spec.selector?.matchLabels, 'pod-template-hash': hash } },
          template: { ...deployment.spec.template, metadata: { ...deployment.spec.template.metadata, labels } },
        },
      } as Workload)
    } else if (current.spec.replicas !== plan.current || revisionOf(current) <= newest) {
      // Going back to an older template makes it the newest revision.
      const number = revisionOf(current) <= newest ? newest + 1 : revisionOf(current)
      await client.patch(resources.replicaSets, namespace, current.metadata.name, {
        metadata: { annotations: { [revision]: String(number) } },
        spec: { replicas: plan.current },
      })
    }
    const own = current ? revisionOf(current) : 0
    if (own > newest && deployment.metadata.annotations?.[revision] !== String(own))
      await client.patch(resources.deployments, namespace, name, {
        metadata: { annotations: { [revision]: String(own) } },
      })
    const kept = deployment.spec.revisionHistoryLimit ?? 10
    const history = [...older].sort((a, b) => revisionOf(b) - revisionOf(a))
    for (const [index, set] of history.entries()) {
      const replicas = plan.older[set.metadata.name] ?? 0
      if (set.spec.replicas !== replicas)
        await client.patch(resources.replicaSets, namespace, set.metadata.name, { spec: { replicas } })
      else if (index >= kept && replicas === 0 && number(set, 'replicas') === 0)
        await client.remove(resources.replicaSets, namespace, set.metadata.name)
    }
    const sum = (field: string): number => sets.reduce((total, set) => total + number(set, field), 0)
    const ready = sum('readyReplicas')
    const available = ready >= wanted ? 'True' : 'False'
    const before = (
      deployment.status?.['conditions'] as { type: string; status: string; lastTransitionTime?: string }[] | undefined
    )?.find((condition) => condition.type === 'Available')
    const status = {
      observedGeneration: deployment.metadata.generation ?? 1,
      replicas: sum('replicas'),
      updatedReplicas: current ? number(current, 'replicas') : 0,
      readyReplicas: ready,
      availableReplicas: ready,
      unavailableReplicas: Math.max(0, wanted - ready),
      conditions: [
        {
          type: 'Available',
          status: available,
          reason: ready >= wanted ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
          lastTransitionTime: before?.status === available ? (before.lastTransitionTime ?? timestamp()) : timestamp(),
        },
      ],
    }
    if (!sameFields(deployment.status, status))
      await client.patch(resources.deployments, namespace, name, { status }, 'status')
  })
  watchOwned(mirrors.deployments, mirrors.replicaSets, 'Deployment', enqueue)
}
