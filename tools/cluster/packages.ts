// What the machine itself must have: root, and a few Debian packages. Installed only in CI or when asked.
import { existsSync } from 'node:fs'
import { attempt, ClusterError, run, say } from './shell.ts'

/** The folder in which Debian's containernetworking-plugins puts its programs. */
export const cniSource = '/usr/lib/cni'

const needed: readonly { readonly package: string; readonly present: () => boolean }[] = [
  { package: 'runc', present: () => found('runc') },
  { package: 'containernetworking-plugins', present: () => existsSync(`${cniSource}/ptp`) },
  { package: 'iproute2', present: () => found('ip') },
  { package: 'iptables', present: () => found('iptables') },
  { package: 'util-linux', present: () => found('unshare') && found('nsenter') },
  { package: 'procps', present: () => found('sysctl') },
]

export function found(program: string): boolean {
  return attempt(['sh', '-c', `command -v ${program}`]).ok
}

export function requireRoot(): void {
  if (process.getuid?.() !== 0)
    throw new ClusterError('a cluster needs root (namespaces, links, control groups): run it with sudo')
}

/** @throws ClusterError with the command to run, unless `install` allows to run it here */
export function requirePackages(install: boolean): void {
  const missing = needed.filter((one) => !one.present()).map((one) => one.package)
  if (missing.length === 0) return
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing]
  if (!install)
    throw new ClusterError(`missing: ${missing.join(', ')}. Run '${command.join(' ')}', or add -- --install`)
  say(`installing ${missing.join(', ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run(['apt-get', 'update', '-q'], { env })
  run(command, { env })
}
