// One pod's way into and out of the mesh.
//
// States: out → entering → in → withdrawing → leaving → out.
//   entering: ztunnel has the namespace and acknowledged (listeners, certificate) → rules → advertised by annotation.
//   withdrawing: the annotation is gone; peers stop using tunnels → new connections pass by.
//   leaving: what is open is carried on until its end or the drain's → ztunnel lets go → rules are taken away.
// A failure is reported on the pod and tried again with back-off; it concerns no other pod.
import { backoff, delay } from '@wishbone/runtime/lifecycle'
import { closeFd, inodeOf } from '@wishbone/runtime/os'
import type { Capture } from '../enrolment/decide.ts'
import type { PodIdentity } from './identity.ts'
import type { WorkerTools } from './tools.ts'

export type Wanted =
  | { readonly kind: 'in'; readonly capture: Capture }
  /** `ended`: the pod is gone or does not run; nothing is kept for it. */
  | { readonly kind: 'out'; readonly ended: boolean }

interface Waiter {
  readonly settled: PromiseWithResolvers<void>
  /** The container runtime holds the pod's start back until then. */
  readonly startsPod: boolean
}

const longestWaitMs = 15_000
const longestWaitOfStartMs = 1_000

export class PodWorker {
  readonly pod: PodIdentity
  readonly #tools: WorkerTools
  #wanted: Wanted = { kind: 'out', ended: false }
  #ips: readonly string[] = []
  #nsFd: number | undefined
  /** What the rules in force were made from; undefined: none are in force. */
  #captured: string | undefined
  /** How many sandboxes the pod is known to have had made anew. */
  #sandboxes = 0
  #state: 'out' | 'entering' | 'in' | 'withdrawing' | 'leaving' = 'out'
  #running: Promise<void> | undefined
  #changed = Promise.withResolvers<void>()
  readonly #waiters = new Set<Waiter>()
  #lastError: Error | undefined

  constructor(pod: PodIdentity, tools: WorkerTools) {
    this.pod = pod
    this.#tools = tools
  }

  get state(): string {
    return this.#state
  }

  /** Whether it is to be in the mesh. */
  get isWanted(): boolean {
    return this.#wanted.kind === 'in'
  }

  /** Open while the pod is (even partly) in the mesh; it stays the worker's. */
  get nsFd(): number | undefined {
    return this.#nsFd
  }

  /** The pod was taken in by a former run of the agent: it must be led out, or confirmed. */
  resume(): void {
    if (this.#state === 'out') this.#state = 'entering'
  }

  /** Says what is wanted now. Work goes on in the background. */
  want(wanted: Wanted, ips: readonly string[]): void {
    const same = JSON.stringify(wanted) === JSON.stringify(this.#wanted) && ips.join() === this.#ips.join()
    this.#wanted = wanted
    if (ips.length > 0) this.#ips = ips
    if (same && this.#lastError === undefined && this.#settled()) return
    this.poke()
  }

  /** The pod has a new sandbox, perhaps: what holds for the old one holds no more. */
  renew(): void {
    this.#sandboxes++
    this.#captured = undefined
    this.poke()
  }

  /** Takes the rules away at once, whatever is still open: there will be nobody to do it later. */
  abandon(): void {
    if (this.#nsFd !== undefined && this.#tools.rules.isCaptured(this.#nsFd)) this.#tools.rules.clear(this.#nsFd)
  }

  /** Something outside has changed (ztunnel came back, a namespace appeared): try now. */
  poke(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (!this.#settled()) this.poke()
    })
  }

  /**
   * Resolves when what is wanted is so. Rejects with the last failure after `timeoutMs`. While it `startsPod`, what failed is
   * tried again every second: the container runtime would give the pod another chance only after much longer.
   */
  async settled(timeoutMs: number, { startsPod = false } = {}): Promise<void> {
    if (this.#settled()) return
    const waiter: Waiter = { settled: Promise.withResolvers<void>(), startsPod }
    this.#waiters.add(waiter)
    const timer = setTimeout(() => {
      const { namespace, name } = this.pod
      waiter.settled.reject(this.#lastError ?? new Error(`pod ${namespace}/${name} was not ready in time`))
    }, timeoutMs)
    try {
      await waiter.settled.promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  #settled(): boolean {
    const wanted = this.#wanted
    if (wanted.kind === 'in') return this.#state === 'in' && this.#captured === keyOf(wanted.capture, this.#ips)
    return this.#state === 'out'
  }

  async #run(): Promise<void> {
    const waits = backoff({ firstMs: 100, maxMs: longestWaitMs })
    while (!this.#settled()) {
      const changed = this.#changed.promise
      try {
        if (this.#wanted.kind === 'in') await this.#enter(this.#wanted.capture)
        else await this.#leave(this.#wanted.ended)
        this.#lastError = undefined
        waits.reset()
      } catch (cause) {
        this.#lastError = cause instanceof Error ? cause : new Error(String(cause))
        // Not waited for: the API may be slow, or away.
        void this.#tools.failed(this.pod, this.#lastError)
        const rest = new AbortController()
        await Promise.race([delay(Math.min(waits.next(), this.#patienceMs()), rest.signal), changed])
        rest.abort()
      }
    }
    for (const waiter of this.#waiters) waiter.settled.resolve()
  }

  #patienceMs(): number {
    return [...this.#waiters].some(({ startsPod }) => startsPod) ? longestWaitOfStartMs : longestWaitMs
  }

  async #enter(capture: Capture): Promise<void> {
    const { tools, pod } = { tools: this.#tools, pod: this.pod }
    const ips = this.#ips
    const sandbox = this.#sandboxes
    // Before the rules: from the first moment of the capture on, a probe must be told from a call.
    const probes = tools.probes.set(pod.uid, ips, capture.probePorts)
    probes.catch(() => undefined)
    const fresh = tools.namespaces.open(pod.uid)
    if (fresh === undefined && this.#nsFd === undefined)
      throw new Error(`the network namespace of pod ${pod.namespace}/${pod.name} (${pod.uid}) is not there yet`)
    if (fresh !== undefined) this.#adopt(fresh)
    const nsFd = this.#nsFd!
    if (this.#state !== 'in') this.#state = 'entering'
    await probes
    await tools.add({ uid: pod.uid, info: pod, nsFd })
    tools.rules.capture(nsFd, tools.ruleFacts(capture))
    await tools.advertise(pod, true)
    this.#state = 'in'
    // Made anew meanwhile: what was just done was done to the old one, and is done again.
    if (sandbox !== this.#sandboxes) return
    this.#captured = keyOf(capture, ips)
    tools.log.info('pod is in the mesh', { pod: `${pod.namespace}/${pod.name}` })
  }

  async #leave(ended: boolean): Promise<void> {
    const { tools, pod } = { tools: this.#tools, pod: this.pod }
    this.#nsFd ??= ended ? undefined : tools.namespaces.open(pod.uid)
    const nsFd = this.#nsFd
    if (!ended && nsFd !== undefined && tools.rules.isCaptured(nsFd)) {
      this.#state = 'withdrawing'
      await this.#withdraw()
      if (this.#direction() === 'in') return
      tools.rules.release(nsFd, tools.ruleFacts(noCapture))
      this.#captured = undefined
      this.#state = 'leaving'
      await tools.probes.delete(pod.uid)
      const since = performance.now()
      // Names that are being looked up are no connections that could be counted; their answers need the translation.
      await this.#pause(tools.times().lookupsMs)
      if (this.#direction() === 'in') return
      while (performance.now() - since < tools.times().drainMs && tools.countTunnelled(nsFd, this.#ips) > 0) {
        await this.#pause(500)
        if (this.#direction() === 'in') return
        if (this.#direction() === 'ended') break
      }
    } else if (!ended && tools.isAdvertised(pod)) await tools.advertise(pod, false)
    this.#state = 'leaving'
    await tools.probes.delete(pod.uid)
    await tools.del(pod.uid)
    if (nsFd !== undefined) {
      if (this.#direction() !== 'ended' && tools.rules.isCaptured(nsFd)) tools.rules.clear(nsFd)
      closeFd(nsFd)
      this.#nsFd = undefined
      tools.log.info('pod is out of the mesh', { pod: `${pod.namespace}/${pod.name}` })
    }
    this.#captured = undefined
    this.#state = 'out'
  }

  /** Peers stop using tunnels; those that have not heard of it in time still find the listeners for a while. */
  async #withdraw(): Promise<void> {
    const { tools, pod } = { tools: this.#tools, pod: this.pod }
    const since = performance.now()
    const version = await tools.advertise(pod, false)
    if (version === undefined) return
    while (performance.now() - since < tools.times().withdrawMs && this.#direction() === 'out') {
      if (await tools.isAcknowledged(pod, version)) return
      await this.#pause(200)
    }
  }

  /** Takes a descriptor over, in place of one of another namespace (a sandbox that was made anew). */
  #adopt(fd: number): void {
    if (this.#nsFd !== undefined && inodeOf(this.#nsFd) === inodeOf(fd)) {
      closeFd(fd)
      return
    }
    if (this.#nsFd !== undefined) closeFd(this.#nsFd)
    this.#nsFd = fd
    this.#captured = undefined
  }

  /** Waits, unless the pod shall come back or has ended meanwhile. */
  async #pause(ms: number): Promise<void> {
    const deadline = performance.now() + ms
    while (performance.now() < deadline && this.#direction() === 'out') {
      const rest = new AbortController()
      await Promise.race([delay(deadline - performance.now(), rest.signal), this.#changed.promise])
      rest.abort()
    }
  }

  #direction(): 'in' | 'out' | 'ended' {
    return this.#wanted.kind === 'out' && this.#wanted.ended ? 'ended' : this.#wanted.kind
  }
}

const noCapture: Capture = { inbound: true, dns: true, probePorts: [], virtualInterfaces: [] }

function keyOf(capture: Capture, ips: readonly string[]): string {
  return JSON.stringify([capture, ips])
}
