// Which processes belong to which pod, by their control groups. A look at /proc serves all pods that ask within a moment.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const uidPattern = /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})/g
const containerPattern = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g
/** Many pods are looked up in a row after a start or a label; a new process is found after this time. */
const staleAfterMs = 250

/**
 * The pods' UIDs and the containers' ids in a /proc/PID/cgroup. Paths by version and driver:
 *   v1, v2 cgroupfs: /kubepods/burstable/pod<uid>/<id> · systemd: …/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope
 *   without cgroups per QoS: /k8s.io/<id>. Seen from a namespace of control groups of one's own they begin with /../..
 * Pure.
 */
export function ownersOf(cgroup: string): readonly string[] {
  const owners = new Set<string>()
  for (const [, uid = ''] of cgroup.matchAll(uidPattern)) owners.add(uid.replaceAll('_', '-'))
  for (const [id] of cgroup.matchAll(containerPattern)) owners.add(id)
  return [...owners]
}

export class Processes {
  readonly #procFolder: string
  readonly #now: () => number
  #index: ReadonlyMap<string, readonly number[]> = new Map()
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(procFolder: string, now: () => number = () => performance.now()) {
    this.#procFolder = procFolder
    this.#now = now
  }

  /** The processes of the owner (a pod's UID, a container's id), those of the lowest numbers first. */
  of(owner: string): readonly number[] {
    return this.#current().get(owner) ?? []
  }

  /** Those of all other pods. Whose a container is that nobody has named cannot be said: it may be this pod's sandbox. */
  ofOthers(uid: string): readonly number[] {
    return [...this.#current()].flatMap(([owner, pids]) => (owner.includes('-') && owner !== uid ? pids : []))
  }

  #current(): ReadonlyMap<string, readonly number[]> {
    if (this.#now() - this.#lookedAt > staleAfterMs) {
      this.#index = this.#look()
      this.#lookedAt = this.#now()
    }
    return this.#index
  }

  #look(): ReadonlyMap<string, readonly number[]> {
    const index = new Map<string, number[]>()
    for (const pid of this.#allPids())
      for (const owner of ownersOf(this.#cgroup(pid))) {
        const pids = index.get(owner)
        if (pids === undefined) index.set(owner, [pid])
        else pids.push(pid)
      }
    return index
  }

  #allPids(): readonly number[] {
    try {
      return readdirSync(this.#procFolder)
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .sort((a, b) => a - b)
    } catch {
      return []
    }
  }

  #cgroup(pid: number): string {
    try {
      return readFileSync(join(this.#procFolder, String(pid), 'cgroup'), 'utf8')
    } catch {
      // The process has ended meanwhile.
      return ''
    }
  }
}
