// What is there of a cluster: nothing, all of it, all but a node, or the remains of one.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { livingNodes } from './node.ts'
import { isAlive, recordOf } from './process.ts'
import { Records } from './records.ts'
import { removeCluster } from './remove.ts'
import { nodes, paths } from './settings.ts'
import { ClusterError, say } from './shell.ts'
import { controlPlane, isApiReady, withClient } from './wait.ts'

export type ClusterState =
  | { readonly kind: 'none' }
  | { readonly kind: 'healthy' }
  /** Only these nodes are missing. */
  | { readonly kind: 'nodes-down'; readonly names: readonly string[] }
  | { readonly kind: 'remains'; readonly reason: string }

const completeFile = (): string => join(paths.state, 'complete')

export const openRecords = (): Records => new Records(join(paths.state, 'records'))

/** Says that `up` got to its end: whatever is found without this is the remains of a run that did not. */
export function markComplete(): void {
  writeFileSync(completeFile(), '')
}

export async function readState(): Promise<ClusterState> {
  if (!existsSync(paths.state) || openRecords().all.length === 0) return { kind: 'none' }
  if (!existsSync(completeFile())) return { kind: 'remains', reason: 'an earlier start did not get to its end' }
  const dead = controlPlane.filter((name) => !isAlive(recordOf(name)))
  if (dead.length > 0) return { kind: 'remains', reason: `${dead.join(', ')} no longer runs` }
  if (!(await withClient(isApiReady))) return { kind: 'remains', reason: 'the API server does not answer' }
  const living = livingNodes()
  const names = nodes.filter((node) => !living.includes(node)).map(({ name }) => name)
  return names.length > 0 ? { kind: 'nodes-down', names } : { kind: 'healthy' }
}

/** @throws ClusterError when there is no control plane that a node could join */
export function requireCluster(): void {
  if (!isAlive(recordOf('kube-apiserver')))
    throw new ClusterError("no cluster runs here; start it with 'npm run cluster:up'")
}

/** Removes everything. That there is nothing is no error. */
export async function down(): Promise<void> {
  if ((await readState()).kind === 'none') say('there is no cluster here')
  else {
    await removeCluster(openRecords())
    say('the cluster is gone: its processes, links, routes, rules, mounts and control groups')
  }
  rmSync(paths.state, { recursive: true, force: true })
}
