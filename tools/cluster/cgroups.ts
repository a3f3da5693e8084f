// Control groups of containers: runc makes them below /k8s.io in every hierarchy, and nothing removes them when a node
// dies. Kubelet then stumbles over them for most of a minute, so they go before the node comes back.
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './shell.ts'

const mountPoint = '/sys/fs/cgroup'
export const containersGroup = 'k8s.io'

/** The folders of a group in every hierarchy that has it (one hierarchy with cgroup v2). */
export function foldersOf(group: string): readonly string[] {
  const roots = existsSync(join(mountPoint, 'cgroup.controllers'))
    ? [mountPoint]
    : readdirSync(mountPoint).map((hierarchy) => join(mountPoint, hierarchy))
  return [...new Set(roots)].map((root) => join(root, group)).filter((folder) => existsSync(folder))
}

/** Ids of the containers that a node's containerd knows, read from its store: it may be dead. */
export function containerIds(containerdFolder: string): readonly string[] {
  try {
    return readdirSync(join(containerdFolder, 'io.containerd.runtime.v2.task/k8s.io'))
  } catch {
    return []
  }
}

/** Removes the groups, deepest first. Groups that still have processes are waited for, then left: they are not dead. */
export async function removeGroups(groups: readonly string[], timeoutMs = 3000): Promise<void> {
  const folders = groups.flatMap(foldersOf)
  await until(() => folders.map(removeTree).every(Boolean), timeoutMs)
}

function removeTree(folder: string): boolean {
  if (!existsSync(folder)) return true
  let all = true
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory() && !removeTree(join(folder, entry.name))) all = false
  if (!all || readFileSync(join(folder, 'cgroup.procs'), 'utf8').trim() !== '') return false
  try {
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
}
