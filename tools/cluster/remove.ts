// Takes the cluster off the machine: everything that is on record, in the reverse order of its making.
import { existsSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { foldersOf, removeGroups } from './cgroups.ts'
import { unmakeNetwork } from './host-network.ts'
import { eraseNode, stopNode } from './node.ts'
import { stop } from './process.ts'
import type { Made, Records } from './records.ts'
import { nodes, paths } from './settings.ts'

/** Ends all processes, then undoes the records. What is already gone is no error. Image archives stay. */
export async function removeCluster(records: Records): Promise<void> {
  rmSync(join(paths.state, 'complete'), { force: true })
  await stop('load-balancer')
  await Promise.all(nodes.map(stopNode))
  await Promise.all([stop('controller-manager'), stop('scheduler')])
  await stop('kube-apiserver', 2000)
  await stop('etcd')
  for (const made of records.all.toReversed()) await unmake(made)
  for (const node of nodes) eraseNode(node)
  for (const name of ['etcd', 'pki', 'processes', 'log', 'admin.kubeconfig'])
    rmSync(join(paths.state, name), { recursive: true, force: true })
  records.clear()
}

async function unmake(made: Made): Promise<void> {
  if (made.kind === 'cgroup') {
    if (foldersOf(made.path).length > 0) await removeGroups([made.path])
  } else if (made.kind === 'directory') {
    try {
      if (existsSync(made.path)) rmdirSync(made.path)
    } catch {
      // Somebody else has put something there.
    }
  } else unmakeNetwork(made)
}
