// `node --clean`: takes everything that the agent may have left on a node away, without asking the Kubernetes API. For a node
// that was off while the mesh was uninstalled. It needs the host's processes and network, and its files here or below /host.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '@wishbone/runtime/log'
import { closeFd, inodeOf, openNamespace } from '@wishbone/runtime/os'
import { readSettings } from '@wishbone/runtime/settings'
import { removePlugin } from './cni/plugin.ts'
import { HostProbes } from './rules/host-probes.ts'
import { clear, isCaptured } from './rules/install.ts'
import { variables } from './settings.ts'

/** Throws when something cannot be taken away; what could be is away by then. */
export function clean(env: Readonly<Record<string, string | undefined>>, log: Logger): void {
  const { nodeName: _, ...known } = variables
  const { procFolder, cniBinFolder, cniConfFolder, cniPath, zdsPath } = readSettings(env, known)
  if (process.getuid?.() !== 0) throw new Error('a node can only be cleaned by root; see docs/uninstall.md')
  const failures: unknown[] = []
  const attempt = (what: string, act: () => void): void => {
    try {
      act()
    } catch (cause) {
      log.error(`${what} could not be cleaned`, { error: String(cause) })
      failures.push(cause)
    }
  }
  attempt('the rules of pods', () => {
    for (const path of cleanNamespaces(procFolder)) log.info('rules are removed', { namespace: path })
  })
  attempt('the rule for probes', () => HostProbes.clear())
  for (const root of ['', '/host']) {
    const places = { binFolder: root + cniBinFolder, confFolder: root + cniConfFolder }
    attempt('the CNI plugin', () => {
      for (const path of removePlugin(places)) log.info('the CNI plugin is removed', { path })
    })
    for (const socket of [cniPath, zdsPath]) attempt(socket, () => rmSync(root + socket, { force: true }))
  }
  if (failures.length > 0) throw new AggregateError(failures, 'the node is not clean')
  log.info('the node is clean')
}

/** Every network namespace that a process or a name keeps; returns the paths of those that had rules of ours. */
export function cleanNamespaces(procFolder: string): readonly string[] {
  const cleaned: string[] = []
  const seen = new Set<bigint>()
  for (const path of namespacePaths(procFolder)) {
    let nsFd: number
    try {
      nsFd = openNamespace(path)
    } catch {
      // The process has ended meanwhile.
      continue
    }
    try {
      const inode = inodeOf(nsFd)
      if (seen.has(inode)) continue
      seen.add(inode)
      if (!isCaptured(nsFd)) continue
      clear(nsFd)
      cleaned.push(path)
    } finally {
      closeFd(nsFd)
    }
  }
  return cleaned
}

function* namespacePaths(procFolder: string): Iterable<string> {
  for (const name of readdirSync(procFolder)) if (/^\d+$/.test(name)) yield join(procFolder, name, 'ns/net')
  for (const folder of ['/run/netns', '/var/run/netns', join(procFolder, '1/root/run/netns')])
    if (existsSync(folder)) for (const name of readdirSync(folder)) yield join(folder, name)
}
