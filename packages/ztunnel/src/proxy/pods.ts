// All pods of this node, as the node agent hands them over. One bad pod neither fails the others nor readiness.
import { MeshError } from '@wishbone/core/errors'
import type { MeshChange } from '@wishbone/core/mesh'
import { delay } from '@wishbone/runtime/lifecycle'
import type { Metrics } from '@wishbone/runtime/metrics'
import { closeFd, inodeOf } from '@wishbone/runtime/os'
import type { AddedWorkload } from '@wishbone/runtime/zds'
import type { ProxyContext } from './context.ts'
import { PodProxy } from './pod-proxy.ts'
import { hasSuccessor, isServed } from './successor.ts'
import { TakeOver } from './take-over.ts'

/** Less than the agent's patience with an Ack (5 s). */
const certificateWaitMs = 4_000
const pollMs = 200

export class Pods {
  readonly #context: ProxyContext
  readonly #proxies = new Map<string, PodProxy>()
  readonly #stopJudging: () => void
  readonly #started
  readonly #stopped
  readonly #configured: () => boolean
  #snapshot = false
  #draining = false
  #judging = false
  readonly #takeOvers = new Map<string, TakeOver>()

  /** `configured`: whether workloads, services and policies have been received once. */
  constructor(context: ProxyContext, metrics: Metrics, configured: () => boolean = () => true) {
    this.#context = context
    this.#configured = configured
    this.#stopJudging = context.state.onChange((change) => this.#changed(change))
    this.#started = metrics.counter('workload_manager_proxies_started_total', 'Proxies of pods started.')
    this.#stopped = metrics.counter('workload_manager_proxies_stopped_total', 'Proxies of pods stopped.')
    metrics.gauge('workload_manager_active_proxy_count', 'Proxies of pods now.', [], (gauge) =>
      gauge.set(this.#proxies.size),
    )
    metrics.gauge('workload_manager_pending_proxy_count', 'Pods whose proxy has not started.', [], (gauge) =>
      gauge.set([...this.#proxies.values()].filter((proxy) => proxy.state === 'starting').length),
    )
  }

  /** Whether the agent has told all pods once. */
  get synced(): boolean {
    return this.#snapshot
  }

  /** Pods that another ztunnel serves until we can. */
  get waiting(): number {
    return [...this.#takeOvers.values()].filter(({ waiting }) => waiting).length
  }

  proxies(): Iterable<PodProxy> {
    return this.#proxies.values()
  }

  /**
   * Starts the proxy of a pod, or keeps it if it runs in this very namespace. Resolves when the pod may be captured: the
   * listeners are there and, once the node is known, the certificate too; or another ztunnel serves the pod, and ours takes over
   * as soon as it can. Rejects with the reason; the pod then has no proxy.
   */
  async add({ uid, info, nsFd }: AddedWorkload): Promise<void> {
    if (this.#draining) {
      closeFd(nsFd)
      throw new MeshError('draining', 'this ztunnel is stopping')
    }
    const known = this.#proxies.get(uid)
    if (known !== undefined && known.inode === inodeOf(nsFd) && known.state !== 'closed') {
      closeFd(nsFd)
      // Asked for again: the agent waits for the listeners.
      return this.#snapshot ? this.#takeOvers.get(uid)?.now() : undefined
    }
    const proxy = new PodProxy(this.#context, { uid, ...info }, nsFd)
    this.#proxies.set(uid, proxy)
    // Not before: its certificate goes with the last proxy that has it, and there may be nobody to give another.
    if (known !== undefined) await this.#drop(uid, known, 'the pod has a new network namespace')
    try {
      if (!this.#snapshot && isServed(nsFd)) return this.#takeOver(proxy)
      await proxy.start()
      // After a restart all pods come at once, and a pod that is captured already is better off with listeners.
      if (this.#snapshot) await this.#certificate(proxy.identity)
    } catch (cause) {
      await this.#drop(uid, proxy, 'the proxy of the pod could not start')
      throw cause
    }
    this.#added(proxy)
  }

  async delete(uid: string): Promise<void> {
    const proxy = this.#proxies.get(uid)
    if (proxy === undefined) return
    await this.#drop(uid, proxy, 'the pod has left the mesh')
    this.#context.log.info('pod removed', { pod: `${proxy.info.namespace}/${proxy.info.name}`, uid })
  }

  keep(uid: string): void {
    if (!this.#proxies.has(uid)) throw new MeshError('workload-unknown', `no proxy runs for pod ${uid}`)
  }

  /** The agent has told everything: pods that it did not mention are gone. */
  async snapshot(uids: ReadonlySet<string>): Promise<void> {
    for (const [uid, proxy] of [...this.#proxies])
      if (!uids.has(uid)) await this.#drop(uid, proxy, 'the node agent does not know the pod')
    this.#snapshot = true
  }

  /**
   * Goes on accepting until another ztunnel listens beside us, pod by pod, or until nothing is open: to stop accepting with
   * nobody to take over would refuse every new connection for as long as the oldest one lasts. Settles at the limit too.
   */
  async handOver(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs
    const serving = (): PodProxy[] => [...this.#proxies.values()].filter((proxy) => proxy.state === 'serving')
    while (performance.now() < deadline) {
      for (const proxy of serving()) if (hasSuccessor(proxy.nsFd)) void proxy.drain(true)
      if (serving().every((proxy) => proxy.idle)) return
      await delay(pollMs)
    }
  }

  /** Stops accepting everywhere and settles when no connection is left. */
  async drain(): Promise<void> {
    this.#draining = true
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.drain()))
    this.#stopJudging()
  }

  async close(reason: MeshError): Promise<void> {
    this.#stopJudging()
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close(reason)))
  }

  #added({ info }: PodProxy): void {
    this.#started.inc()
    this.#context.log.info('pod added', { pod: `${info.namespace}/${info.name}`, uid: info.uid })
  }

  /** The agent has its answer already: what fails is tried again here. */
  #takeOver(pod: PodProxy): void {
    const { certificates, log } = this.#context
    const { uid, name, namespace } = pod.info
    certificates.prefetch(pod.identity)
    let told = ''
    const takeOver = new TakeOver(pod, {
      able: (proxy) =>
        this.#configured() && proxy.knownWorkload() !== undefined && certificates.current(proxy.identity) !== undefined,
      failed: (cause) => {
        const error = MeshError.from(cause).describe()
        if (error !== told)
          log.error('cannot listen in a pod, trying again', { pod: `${namespace}/${name}`, uid, error })
        told = error
      },
      replace: (failed, nsFd) => {
        if (this.#draining || this.#proxies.get(uid) !== failed) return void closeFd(nsFd)
        const fresh = new PodProxy(this.#context, failed.info, nsFd)
        this.#proxies.set(uid, fresh)
        return fresh
      },
      done: (proxy) => {
        if (this.#takeOvers.get(uid) === takeOver) this.#takeOvers.delete(uid)
        this.#added(proxy)
      },
    })
    this.#takeOvers.set(uid, takeOver)
  }

  async #certificate(identity: string): Promise<void> {
    const late = new AbortController()
    const timeout = delay(certificateWaitMs, late.signal).then(() => {
      throw new MeshError('certificate-unavailable', `no certificate for ${identity} within ${certificateWaitMs} ms`, {
        hint: 'is the controller reachable, and does it accept this node?',
      })
    })
    timeout.catch(() => undefined)
    try {
      await Promise.race([this.#context.certificates.get(identity), timeout])
    } finally {
      late.abort()
    }
  }

  async #drop(uid: string, proxy: PodProxy, why: string): Promise<void> {
    if (this.#proxies.get(uid) === proxy) this.#proxies.delete(uid)
    this.#takeOvers.delete(uid)
    this.#stopped.inc()
    await proxy.close(new MeshError('draining', why))
    const shared = [...this.#proxies.values()].some((other) => other.identity === proxy.identity)
    if (!shared) this.#context.certificates.forget(proxy.identity)
  }

  /** Policies changed, or workloads, which name their policies. Many changes in one turn are judged once. */
  #changed(_: MeshChange): void {
    if (this.#judging) return
    this.#judging = true
    setImmediate(() => {
      this.#judging = false
      for (const proxy of this.#proxies.values()) proxy.judge()
    })
  }
}
