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
    cleanNamespaces(procFolder, namedFolders(procFolder), (path) => log.info('rules are removed', { namespace: path }))
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

/** Where namespaces have names. */
export function namedFolders(procFolder: string): readonly string[] {
  return ['/run/netns', '/var/run/netns', join(procFolder, '1/root/run/netns')]
}

/**
 * Every network namespace that a process or a name keeps; tells the paths of those that had rules of ours.
 * @throws AggregateError once all others are clean
 */
export function cleanNamespaces(
  procFolder: string,
  folders: readonly string[],
  onCleaned: (path: string) => void,
): void {
  const seen = new Set<bigint>()
  const failures: unknown[] = []
  for (const path of namespacePaths(procFolder, folders)) {
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
      onCleaned(path)
    } catch (cause) {
      // A name without a namespace: a runtime makes the file first, and unmounts before it removes it.
      const { code, syscall } = cause as NodeJS.ErrnoException
      if (code !== 'EINVAL' || syscall !== 'setns') failures.push(cause)
    } finally {
      closeFd(nsFd)
    }
  }
  if (failures.length > 0)
    throw new AggregateError(
      failures,
      `the rules of ${failures.length} network namespace(s) could not be removed: ${String(failures[0])}`,
    )
}

function* namespacePaths(procFolder: string, folders: readonly string[]): Iterable<string> {
  for (const name of readdirSync(procFolder)) if (/^\d+$/.test(name)) yield join(procFolder, name, 'ns/net')
  for (const folder of folders) if (existsSync(folder)) for (const name of readdirSync(folder)) yield join(folder, name)
}
