// Finds the network namespace of a pod: from the CNI plugin, from a folder of links by UID, or from the pod's processes.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { closeFd, inodeOf, openNamespace } from '@wishbone/runtime/os'

export interface NamespaceSources {
  /** Entries named by pod UID; undefined: there is no such folder here. */
  readonly folder: string | undefined
  /** Where processes are seen; the host's /proc in a cluster. */
  readonly procFolder: string
}

export class PodNamespaces {
  readonly #sources: NamespaceSources
  readonly #fromCni = new Map<string, string>()
  readonly #ownInode: bigint

  constructor(sources: NamespaceSources) {
    this.#sources = sources
    const own = openNamespace('/proc/self/ns/net')
    this.#ownInode = inodeOf(own)
    closeFd(own)
  }

  /** The CNI plugin's word, which wins over anything that is found. */
  register(uid: string, path: string): void {
    this.#fromCni.set(uid, path)
  }

  forget(uid: string): void {
    this.#fromCni.delete(uid)
  }

  /** A descriptor of the pod's namespace, which the caller closes; undefined when it is not there (yet). */
  open(uid: string): number | undefined {
    for (const path of this.#paths(uid)) {
      const fd = tryOpen(path)
      if (fd === undefined) continue
      // The host's own namespace must never be captured, whatever a link says.
      if (inodeOf(fd) !== this.#ownInode) return fd
      closeFd(fd)
    }
    return undefined
  }

  *#paths(uid: string): Iterable<string> {
    const registered = this.#fromCni.get(uid)
    if (registered !== undefined) yield registered
    const { folder, procFolder } = this.#sources
    if (folder !== undefined) yield join(folder, uid)
    else yield* processPaths(procFolder, uid)
  }
}

/** Namespaces of the processes in the pod's control group, which bears its UID. */
function* processPaths(procFolder: string, uid: string): Iterable<string> {
  const forms = [uid, uid.replaceAll('-', '_')]
  let pids: string[]
  try {
    pids = readdirSync(procFolder).filter((name) => /^\d+$/.test(name))
  } catch {
    return
  }
  for (const pid of pids) {
    try {
      const group = readFileSync(join(procFolder, pid, 'cgroup'), 'utf8')
      if (forms.some((form) => group.includes(form))) yield join(procFolder, pid, 'ns/net')
    } catch {
      // The process has ended meanwhile.
    }
  }
}

function tryOpen(path: string): number | undefined {
  try {
    return existsSync(path) ? openNamespace(path) : undefined
  } catch {
    return undefined
  }
}
