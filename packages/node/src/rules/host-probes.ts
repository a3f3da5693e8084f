// Keeps the host's probe rule in step with the pods: one table, replaced once, then elements come and go. What many pods ask
// for at the same moment is one commit.
import { setImmediate } from 'node:timers/promises'
import { addElements, applyRules, deleteElements, deleteTable, hasTable, type NftElement } from '@wishbone/runtime/os'
import { type HostPod, hostRules, hostTable, probeElements, probeSets } from './host-rules.ts'
import type { ProbeSource } from './pod-rules.ts'

type Family = keyof typeof probeSets
type Elements = ReadonlyMap<string, { readonly family: Family; readonly element: NftElement }>

export class HostProbes {
  readonly #source: ProbeSource
  readonly #kubeletUid: number
  readonly #pods = new Map<string, HostPod>()
  /** What the kernel has; undefined: not known, the table must be made anew. */
  #present: Elements | undefined
  #writing: Promise<void> | undefined
  /** The last write has failed: who asks again waits for another one, even with the same wish. */
  #failed = false

  constructor(source: ProbeSource, kubeletUid: number) {
    this.#source = source
    this.#kubeletUid = kubeletUid
  }

  /**
   * Resolves when probes of the pod are recognisable. The first call replaces the table that a former run has left: all pods
   * of the node should be told within the same turn, so that none is without it for a moment.
   */
  async set(uid: string, ips: readonly string[], probePorts: readonly number[]): Promise<void> {
    const pod = { uid, ips, probePorts }
    if (!this.#failed && JSON.stringify(this.#pods.get(uid)) === JSON.stringify(pod)) return this.#writing
    this.#pods.set(uid, pod)
    return this.#changed()
  }

  async delete(uid: string): Promise<void> {
    if (this.#pods.delete(uid) || this.#failed) return this.#changed()
  }

  /**
   * Writes the table anew if somebody has taken it away: a host's firewall that is loaded anew flushes the tables of all others,
   * and probes of pods that take mTLS only would fail from then on. Also if it could not be written. Returns whether it was so.
   */
  async restore(): Promise<boolean> {
    const isAway = this.#present !== undefined && !hasTable(undefined, 'inet', hostTable)
    if (!isAway && !this.#failed) return false
    this.#present = undefined
    await this.#changed()
    return true
  }

  /** Takes the table away: no pod of this node is in the mesh any more. */
  static clear(): void {
    deleteTable(undefined, 'inet', hostTable)
  }

  #changed(): Promise<void> {
    this.#writing ??= setImmediate().then(() => {
      this.#writing = undefined
      this.#write()
    })
    return this.#writing
  }

  #write(): void {
    const wanted = elementsOf(this.#pods.values())
    const present = this.#present
    // Until it has worked, what the kernel has is not known.
    this.#present = undefined
    this.#failed = true
    if (present === undefined)
      applyRules(undefined, hostRules([...this.#pods.values()], this.#source, this.#kubeletUid))
    else {
      change(deleteElements, present, wanted)
      change(addElements, wanted, present)
    }
    this.#present = wanted
    this.#failed = false
  }
}

/** Applies the change to those elements of `all` that are not in `others`. */
function change(apply: typeof addElements, all: Elements, others: Elements): void {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const elements = [...all].filter(([key, one]) => one.family === family && !others.has(key))
    if (elements.length === 0) continue
    const where = { family: 'inet', table: hostTable, set: probeSets[family] } as const
    apply(
      undefined,
      where,
      elements.map(([, { element }]) => element),
    )
  }
}

/** By address and port: a pod that has taken over another's address takes over its element. */
function elementsOf(pods: Iterable<HostPod>): Elements {
  const all = new Map<string, { family: Family; element: NftElement }>()
  for (const pod of pods) {
    const elements = probeElements(pod)
    for (const family of ['ipv4', 'ipv6'] as const)
      for (const element of elements[family]) all.set(element.key.join(' '), { family, element })
  }
  return all
}
