// Keeps every pod of the node where its labels say: decides from what the API tells, and lets one worker per pod act.
import type { Logger } from '@wishbone/runtime/log'
import { closeFd } from '@wishbone/runtime/os'
import type { ZdsPeer } from '@wishbone/runtime/zds'
import { annotations, decideEnrolment, type EnrolmentSettings, labels } from './enrolment/decide.ts'
import { nameOf, type Pod } from './kinds.ts'
import type { PodNamespaces } from './pods/namespaces.ts'
import type { PodStore } from './pods/store.ts'
import type { WorkerTools } from './pods/tools.ts'
import { PodWorker } from './pods/worker.ts'

export interface AgentOptions {
  readonly settings: EnrolmentSettings
  readonly tools: WorkerTools
  readonly namespaces: PodNamespaces
  readonly log: Logger
  /** Fetches a pod anew; the CNI plugin may be ahead of the watch. */
  fetch(namespace: string, name: string): Promise<Pod | undefined>
  /** Called with the names of the namespaces in the mesh when they change. */
  enrolledNamespaces(names: readonly string[]): void
}

/** A pod's sandbox as the CNI plugin made it. */
export interface Sandbox {
  readonly netns: string
  readonly podName: string
  readonly podNamespace: string
  readonly ips: readonly string[]
}

const cniTimeoutMs = 25_000

export class Agent {
  readonly #options: AgentOptions
  readonly #workers = new Map<string, PodWorker>()
  /** Addresses from the CNI plugin, until the API shows them. */
  readonly #sandboxIps = new Map<string, readonly string[]>()
  readonly #seen = new Set<string>()
  #store: PodStore | undefined
  #enrolled = ''

  constructor(options: AgentOptions) {
    this.#options = options
  }

  /** The store is filled by its own loop and calls `changed` and `removed`. */
  attach(store: PodStore): void {
    this.#store = store
  }

  get synced(): boolean {
    return this.#store?.synced ?? false
  }

  workers(): Iterable<PodWorker> {
    return this.#workers.values()
  }

  changed(uid: string | undefined): void {
    const store = this.#store
    if (store === undefined || !store.synced) return
    if (uid !== undefined) {
      const pod = store.pods.get(uid)
      if (pod !== undefined) this.#consider(pod)
      return
    }
    this.#writeEnrolled()
    for (const pod of store.pods.values()) this.#consider(pod)
  }

  removed(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const worker = this.#workers.get(uid)
    this.#seen.delete(uid)
    this.#sandboxIps.delete(uid)
    this.#options.namespaces.forget(uid)
    if (worker === undefined) return
    worker.want({ kind: 'out', ended: true }, [])
    void worker.settled(60_000).then(
      () => this.#workers.delete(uid),
      () => this.#workers.delete(uid),
    )
  }

  /** Takes a new sandbox in, if it belongs to the mesh. Resolves when its pod may start; rejects with the reason why not. */
  async addSandbox(sandbox: Sandbox): Promise<void> {
    const { podNamespace, podName, netns, ips } = sandbox
    const pod = await this.#options.fetch(podNamespace, podName)
    if (pod === undefined || pod.metadata.uid === undefined)
      throw new Error(`pod ${podNamespace}/${podName} is not known to the Kubernetes API`)
    const { uid } = pod.metadata
    this.#options.namespaces.register(uid, netns)
    this.#sandboxIps.set(uid, ips)
    // The watch brings the pod too, but later; and it may have newer news already.
    const known = this.#store?.pods.get(uid) ?? pod
    this.#consider(known)
    await this.#workers.get(uid)?.settled(cniTimeoutMs)
  }

  /** Tells a ztunnel that has connected all pods that are in the mesh. */
  async introduce(peer: ZdsPeer): Promise<void> {
    for (const worker of [...this.#workers.values()]) {
      const { nsFd, pod, state } = worker
      try {
        if (nsFd !== undefined) await peer.add({ uid: pod.uid, info: pod, nsFd })
        // Taken in by a former run, and its namespace is not to be found: what ztunnel has goes on.
        else if (state !== 'out') await peer.keep(pod.uid)
      } catch (cause) {
        if (peer.closed.aborted) return
        if (nsFd === undefined) continue
        await this.#options.tools.failed(pod, cause instanceof Error ? cause : new Error(String(cause)))
      }
    }
    await peer.snapshotSent()
    // Those that waited for a ztunnel, or that this one has refused.
    for (const worker of this.#workers.values()) worker.poke()
  }

  #consider(pod: Pod): void {
    const { settings, log, tools } = this.#options
    const uid = pod.metadata.uid ?? ''
    const namespace = this.#store?.namespaces.get(pod.metadata.namespace ?? '')
    const decision = decideEnrolment(pod, namespace, settings)
    const first = !this.#seen.has(uid)
    this.#seen.add(uid)
    let worker = this.#workers.get(uid)
    if (worker === undefined) {
      const former = first && this.#wasIn(pod)
      if (decision.kind === 'out' && !former) return
      if (decision.kind === 'in' && !this.#hasSandbox(uid)) {
        // Not started yet: the CNI plugin will say when there is something to capture.
        this.#seen.delete(uid)
        return
      }
      worker = new PodWorker(
        {
          uid,
          name: pod.metadata.name,
          namespace: pod.metadata.namespace ?? '',
          serviceAccount: pod.spec?.serviceAccountName ?? 'default',
        },
        tools,
      )
      this.#workers.set(uid, worker)
      if (former) worker.resume()
      log.debug('pod considered', { pod: nameOf(pod), decision: decision.kind })
    }
    const ips = this.#ipsOf(pod)
    worker.want(decision.kind === 'in' ? decision : { kind: 'out', ended: decision.ended }, ips)
    if (decision.kind === 'out')
      void worker.settled(600_000).then(
        () => worker.state === 'out' && this.#workers.get(uid) === worker && this.#workers.delete(uid),
        () => undefined,
      )
  }

  /** Whether a former run of the agent has left the pod in the mesh. */
  #wasIn(pod: Pod): boolean {
    if (pod.metadata.annotations?.[annotations.redirection] !== undefined) return true
    return this.#withNamespace(pod.metadata.uid ?? '', (nsFd) => this.#options.tools.rules.isCaptured(nsFd)) ?? false
  }

  #hasSandbox(uid: string): boolean {
    return this.#withNamespace(uid, () => true) ?? false
  }

  #withNamespace<T>(uid: string, look: (nsFd: number) => T): T | undefined {
    const nsFd = this.#options.namespaces.open(uid)
    if (nsFd === undefined) return undefined
    try {
      return look(nsFd)
    } finally {
      closeFd(nsFd)
    }
  }

  #ipsOf(pod: Pod): readonly string[] {
    const own = (pod.status?.podIPs ?? []).map(({ ip }) => ip)
    if (own.length > 0) return own
    return pod.status?.podIP !== undefined ? [pod.status.podIP] : (this.#sandboxIps.get(pod.metadata.uid ?? '') ?? [])
  }

  #writeEnrolled(): void {
    const names = [...(this.#store?.namespaces.values() ?? [])]
      .filter((one) => one.metadata.labels?.[labels.mode] === 'ambient')
      .map((one) => one.metadata.name)
      .sort()
    if (names.join() === this.#enrolled && this.#enrolled !== '') return
    this.#enrolled = names.join()
    this.#options.enrolledNamespaces(names)
  }
}
