// All controllers of the cluster.
import type { AddressPlan } from '../network/plan.ts'
import type { Context } from './context.ts'
import { startDaemonSets } from './daemon-sets.ts'
import { startDeployments } from './deployments.ts'
import { startEndpoints } from './endpoints.ts'
import { startJobs } from './jobs.ts'
import { startReplicaSets } from './replicasets.ts'
import { startScheduler } from './scheduler.ts'
import { startNamespaces, startServices } from './services.ts'
import { startStatefulSets } from './stateful-sets.ts'

export { type Context, type Mirrors, startMirrors } from './context.ts'

export function startControllers(context: Context, plan: AddressPlan, caPem: string): void {
  startNamespaces(context, caPem)
  startServices(context, plan)
  startEndpoints(context, plan.families)
  startScheduler(context)
  startDeployments(context)
  startReplicaSets(context)
  startStatefulSets(context)
  startDaemonSets(context)
  startJobs(context)
}
