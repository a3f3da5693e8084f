// One node of the cluster: starting its init, and ending it as a crash would, without leaving anything behind.
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { containerIds, containersGroup, removeGroups } from './cgroups.ts'
import { connectNode } from './host-network.ts'
import { nodeFiles } from './node-files.ts'
import { cniSource } from './packages.ts'
import { childOf, isAlive, type ProcessRecord, recordOf, start, stop } from './process.ts'
import type { Records } from './records.ts'
import { type NodeSettings, network, nodes, paths } from './settings.ts'
import { attempt, ClusterError, run, until } from './shell.ts'

/** Where a node's init mounts its own folders; the mounts are the node's, the folders must exist on the host. */
export const mountPoints = [
  '/var/lib/kubelet',
  '/var/lib/containerd',
  '/var/lib/cni',
  '/var/log/pods',
  '/var/log/containers',
  '/etc/cni',
  '/etc/cni/net.d',
  '/opt/cni',
  '/opt/cni/bin',
]

export function nodeNamed(name: string | undefined): NodeSettings {
  const node = nodes.find((one) => one.name === name)
  if (node === undefined)
    throw new ClusterError(`no node '${name ?? ''}'; the nodes are ${nodes.map((one) => one.name).join(', ')}`)
  return node
}

export function initOf(node: NodeSettings): ProcessRecord | undefined {
  const outer = recordOf(node.name)
  return outer && childOf(outer)
}

/** By their processes: a node that lives may still be on its way to Ready. */
export const livingNodes = (): readonly NodeSettings[] => nodes.filter((node) => isAlive(recordOf(node.name)))

/** Starts the node's namespaces and init; returns when the init has its cable, not when the node is Ready. */
export async function startNode(records: Records, node: NodeSettings): Promise<void> {
  for (const path of mountPoints) makeDirectory(records, path)
  const folder = paths.node(node.name)
  for (const [name, text] of nodeFiles(node)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    // A CNI chain that a plugin has joined is kept.
    if (!name.startsWith('cni/') || readdirSync(dirname(path)).length === 0) writeFileSync(path, text)
  }
  if (!existsSync(join(folder, 'cni-bin/ptp'))) cpSync(cniSource, join(folder, 'cni-bin'), { recursive: true })
  const peers = nodes.filter((other) => other !== node).map((other) => `${other.podCidr} via ${other.ip}`)
  const outer = await start(
    node.name,
    [
      ...['unshare', '--net', '--mount', '--pid', '--uts', '--fork', '--mount-proc', '--kill-child'],
      join(import.meta.dirname, 'node-init.sh'),
    ],
    {
      NODE: node.name,
      IP: node.ip,
      GATEWAY: network.hostIp,
      PEERS: peers.join('\n'),
      DIR: folder,
      BIN: paths.bin,
      IMAGES: paths.images,
      LOGS: paths.logs,
      STATE: paths.state,
      POD_CIDR: network.pods,
    },
  )
  await until(() => isAlive(childOf(outer)), 5000, 10)
  const init = childOf(outer)
  if (init === undefined)
    throw new ClusterError(`${node.name} did not start; see ${join(paths.logs, `${node.name}.log`)}`)
  connectNode(records, node, init.pid)
}

function makeDirectory(records: Records, path: string): void {
  if (existsSync(path)) return
  records.add({ kind: 'directory', path })
  mkdirSync(path, { recursive: true })
}

/** Ends the node at once, like a power cut; its disks (containerd's store, kubelet's folder) stay. */
export async function stopNode(node: NodeSettings): Promise<void> {
  const init = initOf(node)
  // The init first: when it is gone the kernel has ended and reaped everything else of its PID namespace.
  if (init !== undefined && isAlive(init)) process.kill(init.pid, 'SIGKILL')
  if (!(await until(() => !isAlive(init), 20_000)))
    throw new ClusterError(`the processes of ${node.name} do not end; see 'ps -ef' for what hangs`)
  await stop(node.name)
  attempt(['ip', 'link', 'del', node.link])
  const folder = join(paths.node(node.name), 'containerd')
  await removeGroups(containerIds(folder).map((id) => join(containersGroup, id)))
}

/** Forgets the node's disks. */
export function eraseNode(node: NodeSettings): void {
  // Hundreds of thousands of files of images: `rm` is several times faster than Node at that.
  run(['rm', '-rf', paths.node(node.name)])
}
