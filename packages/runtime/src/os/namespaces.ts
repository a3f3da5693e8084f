// Network namespaces: opening, making and visiting them. A visit moves the calling thread and back again within one
// synchronous call; a socket stays in the namespace it was made in for good, so that nothing else needs a visit.
import fs from 'node:fs'
import { OsError } from './errors.ts'
import { bindMount, duplicate, setNetworkNamespace, unmount, unshareNetwork } from './libc.ts'

const own = '/proc/thread-self/ns/net'
/** In a container only the host's /proc, mounted elsewhere, has kernel settings that can be written. */
const settings = `${process.env['HOST_PROC'] || '/proc'}/sys`

let home: number | undefined
let present: number | undefined

/** The descriptor of the process's own namespace, which is never closed. */
export function ownNamespace(): number {
  home ??= fs.openSync(own, 'r')
  return home
}

/** Opens a namespace file such as /proc/PID/ns/net. The descriptor keeps the namespace alive; close it with closeFd. */
export function openNamespace(path: string): number {
  return fs.openSync(path, 'r')
}

export function closeFd(fd: number): void {
  fs.closeSync(fd)
}

export function dupFd(fd: number): number {
  return duplicate(fd)
}

/** Inode of the open file; two descriptors of the same namespace have the same one. */
export function inodeOf(fd: number): bigint {
  return fs.fstatSync(fd, { bigint: true }).ino
}

/**
 * Runs `visit` with the calling thread in the namespace and returns its result. `visit` must be synchronous and must
 * not start anything that goes on elsewhere in the thread pool (files, DNS), which may be created here and would stay.
 * Sockets, /proc/sys/net writes and child processes (child_process.spawn forks here) are what it is for.
 * A thread that can't go back would decide about traffic in a foreign namespace, so the process aborts then.
 * @param nsFd undefined = the present namespace
 */
export function withNamespace<T>(nsFd: number | undefined, visit: () => T): T {
  if (nsFd === undefined || nsFd === present) return visit()
  const back = present ?? ownNamespace()
  const errno = setNetworkNamespace(nsFd)
  if (errno !== 0) throw new OsError(errno, 'setns', `network namespace (descriptor ${nsFd})`)
  const outer = present
  present = nsFd
  try {
    return visit()
  } finally {
    present = outer
    const failure = setNetworkNamespace(back)
    if (failure !== 0) {
      fs.writeSync(2, `fatal: cannot return to the own network namespace (errno ${failure}); the process ends\n`)
      process.abort()
    }
  }
}

/** Makes an empty network namespace, with only a loopback that is down. It lives as long as the descriptor. */
export function newNamespace(): number {
  const back = present ?? ownNamespace()
  unshareNetwork()
  try {
    return fs.openSync(own, 'r')
  } finally {
    if (setNetworkNamespace(back) !== 0) {
      fs.writeSync(2, 'fatal: cannot return to the own network namespace; the process ends\n')
      process.abort()
    }
  }
}

/** Gives a namespace a name in the file system, where it also lives on without a descriptor (as `ip netns` does). */
export function bindMountNamespace(nsFd: number, path: string): void {
  fs.closeSync(fs.openSync(path, 'w'))
  try {
    bindMount(`/proc/self/fd/${nsFd}`, path)
  } catch (cause) {
    fs.rmSync(path, { force: true })
    throw cause
  }
}

/** Takes the name of bindMountNamespace away again. */
export function unmountNamespace(path: string): void {
  unmount(path)
  fs.rmSync(path, { force: true })
}

/**
 * Writes a kernel setting of the namespace, e.g. ("net.ipv4.ip_forward", 1) or ("net/ipv6/conf/eth0.1/accept_ra", 0).
 * Only net.* settings belong to a network namespace.
 */
export function setSysctl(nsFd: number | undefined, key: string, value: string | number): void {
  withNamespace(nsFd, () => fs.writeFileSync(sysctlPath(key), String(value)))
}

/** Reads a kernel setting of the namespace; undefined if the kernel has none of that name. */
export function getSysctl(nsFd: number | undefined, key: string): string | undefined {
  return withNamespace(nsFd, () => {
    try {
      return fs.readFileSync(sysctlPath(key), 'utf8').trim()
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw cause
    }
  })
}

function sysctlPath(key: string): string {
  const path = key.includes('/') ? key : key.replaceAll('.', '/')
  if (!path.startsWith('net/') || path.includes('..')) throw new Error(`"${key}" is not a net.* kernel setting`)
  return `${settings}/${path}`
}
