// Keeps the host's probe rule in step with the pods: one table, replaced once, then elements come and go.
import { addElements, applyRules, deleteElements } from '@wishbone/runtime/os'
import { type HostPod, hostRules, hostTable, probeElements, probeSets } from './host-rules.ts'
import type { ProbeSource } from './pod-rules.ts'

export class HostProbes {
  readonly #source: ProbeSource
  readonly #kubeletUid: number
  readonly #pods = new Map<string, HostPod>()
  #installed = false

  constructor(source: ProbeSource, kubeletUid: number) {
    this.#source = source
    this.#kubeletUid = kubeletUid
  }

  /** Idempotent. */
  set(uid: string, ips: readonly string[], probePorts: readonly number[]): void {
    const pod = { uid, ips, probePorts }
    const old = this.#pods.get(uid)
    if (this.#installed && JSON.stringify(old) === JSON.stringify(pod)) return
    this.delete(uid)
    this.#pods.set(uid, pod)
    if (!this.#installed) {
      applyRules(undefined, hostRules([...this.#pods.values()], this.#source, this.#kubeletUid))
      this.#installed = true
      return
    }
    this.#each(pod, addElements)
  }

  delete(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#pods.delete(uid)
    if (this.#installed) this.#each(pod, deleteElements)
  }

  #each(pod: HostPod, change: typeof addElements): void {
    // An address that another pod has taken over meanwhile must keep its element.
    const kept = new Set(
      [...this.#pods.values()].filter((other) => other.uid !== pod.uid).flatMap((other) => other.ips),
    )
    const ips = change === deleteElements ? pod.ips.filter((ip) => !kept.has(ip)) : pod.ips
    const elements = probeElements({ ...pod, ips })
    for (const family of ['ipv4', 'ipv6'] as const)
      if (elements[family].length > 0)
        change(undefined, { family: 'inet', table: hostTable, set: probeSets[family] }, elements[family])
  }
}
