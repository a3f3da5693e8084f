// Finds the network namespace of a pod: from the CNI plugin, from a folder of links by UID, from the pod's processes, or from
// the namespaces that the container runtime has named. Never hands out the host's own.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { ipKey, parseIp } from '@wishbone/core/ip'
import { closeFd, inodeOf, openNamespace, withNamespace } from '@wishbone/runtime/os'
import { Processes } from './processes.ts'

export interface NamespaceSources {
  /** Entries named by pod UID; undefined: there is no such folder here. */
  readonly folder: string | undefined
  /** Where processes are seen; the host's /proc in a cluster. */
  readonly procFolder: string
  /** Where container runtimes keep the namespaces that they made; default /run/netns. */
  readonly namedFolder?: string
  /** What the Kubernetes API tells about a pod. */
  facts(uid: string): PodFacts | undefined
}

export interface PodFacts {
  readonly ips: readonly string[]
  /** Ids of its containers, without the runtime's name. */
  readonly containerIds: readonly string[]
}

export class PodNamespaces {
  readonly #sources: NamespaceSources
  readonly #processes: Processes
  readonly #fromCni = new Map<string, string>()
  readonly #hostInodes: ReadonlySet<bigint>

  constructor(sources: NamespaceSources) {
    this.#sources = sources
    this.#processes = new Processes(sources.procFolder)
    this.#hostInodes = new Set(
      ['/proc/self/ns/net', join(sources.procFolder, '1/ns/net')].flatMap((path) => {
        const fd = tryOpen(path)
        if (fd === undefined) return []
        const inode = inodeOf(fd)
        closeFd(fd)
        return [inode]
      }),
    )
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
    const registered = this.#fromCni.get(uid)
    if (registered !== undefined) {
      const fd = this.#first(this.#hostPaths(registered))
      if (fd !== undefined) return fd
    }
    const { folder, facts } = this.#sources
    if (folder !== undefined) return this.#first([join(folder, uid)])
    const { ips, containerIds } = facts(uid) ?? { ips: [], containerIds: [] }
    // A process of the pod may have made a namespace of its own (Docker inside): only one with the pod's address will do.
    return (
      this.#first(this.#processPaths(uid, containerIds), ips) ??
      (ips.length > 0 ? this.#first(this.#namedPaths(), ips, (inode) => !this.#isOthers(inode, uid)) : undefined)
    )
  }

  #first(
    paths: Iterable<string>,
    ips: readonly string[] = [],
    isFree: (inode: bigint) => boolean = () => true,
  ): number | undefined {
    for (const path of paths) {
      const fd = tryOpen(path)
      if (fd === undefined) continue
      const inode = inodeOf(fd)
      // The host's own namespace must never be captured, whatever a link says.
      if (!this.#hostInodes.has(inode) && isNamespaceOf(fd, ips) && isFree(inode)) return fd
      closeFd(fd)
    }
    return undefined
  }

  /**
   * Whether another pod is known to be in a namespace that has the address of this one: after a start of the node the API
   * still tells the addresses from before, and others have them by now.
   */
  #isOthers(inode: bigint, uid: string): boolean {
    for (const [other, path] of this.#fromCni)
      if (other !== uid && [...this.#hostPaths(path)].some((one) => inodeAt(one) === inode)) return true
    return this.#processes
      .ofOthers(uid)
      .some((pid) => inodeAt(join(this.#sources.procFolder, String(pid), 'ns/net')) === inode)
  }

  *#processPaths(uid: string, containerIds: readonly string[]): Iterable<string> {
    const tried = new Set<number>()
    for (const owner of [uid, ...containerIds])
      for (const pid of this.#processes.of(owner)) {
        if (tried.has(pid)) continue
        tried.add(pid)
        yield join(this.#sources.procFolder, String(pid), 'ns/net')
      }
  }

  /** For a pod of which no container runs: its sandbox has the address all the same. */
  *#namedPaths(): Iterable<string> {
    for (const folder of this.#hostPaths(this.#sources.namedFolder ?? '/run/netns'))
      try {
        for (const name of readdirSync(folder)) yield join(folder, name)
        return
      } catch {
        // This view of the host has no such folder.
      }
  }

  /** A path of the host as it can be reached from here: by the same name, or through the root of the host's first process. */
  *#hostPaths(path: string): Iterable<string> {
    const root = join(this.#sources.procFolder, '1/root')
    yield path
    yield join(root, path)
    // There, a link to /run would lead to our own /run.
    yield join(root, path.replace(/^\/var\/run\//, '/run/'))
  }
}

/** False for what is no namespace (any more): a runtime makes the file of a name first, and unmounts before it removes it. */
function isNamespaceOf(fd: number, ips: readonly string[]): boolean {
  try {
    const present = withNamespace(fd, () => networkInterfaces())
    if (ips.length === 0) return true
    const wanted = new Set(ips.map(keyOf))
    return Object.values(present).some((list) => list?.some(({ address }) => wanted.has(keyOf(address))) === true)
  } catch {
    return false
  }
}

function keyOf(ip: string): string {
  const bytes = parseIp(ip)
  return bytes === undefined ? ip : ipKey(bytes)
}

function inodeAt(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino
  } catch {
    return undefined
  }
}

function tryOpen(path: string): number | undefined {
  try {
    return existsSync(path) ? openNamespace(path) : undefined
  } catch {
    return undefined
  }
}
