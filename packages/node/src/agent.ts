// Keeps every pod of the node where its labels say: decides from what the API tells, and lets one worker per pod act.
import type { Logger } from '@wishbone/runtime/log'
import { closeFd, dupFd } from '@wishbone/runtime/os'
import type { ZdsPeer } from '@wishbone/runtime/zds'
import { annotations, decideEnrolment, type Enrolment, type EnrolmentSettings, labels } from './enrolment/decide.ts'
import { foreignChain } from './enrolment/foreign.ts'
import { ipsOf, type Namespace, nameOf, type Pod } from './kinds.ts'
import type { PodIdentity } from './pods/identity.ts'
import type { PodNamespaces } from './pods/namespaces.ts'
import type { PodStore } from './pods/store.ts'
import type { WorkerTools } from './pods/tools.ts'
import { PodWorker } from './pods/worker.ts'

export interface AgentOptions {
  readonly settings: EnrolmentSettings
  readonly tools: WorkerTools
  readonly namespaces: PodNamespaces
  readonly log: Logger
  /** Fetches a pod and its namespace anew; the CNI plugin may be ahead of the watches. */
  fetch(namespace: string, name: string): Promise<{ readonly pod: Pod; readonly namespace: Namespace } | undefined>
  /** Called with the names of the namespaces in the mesh when they change. */
  enrolledNamespaces(names: readonly string[]): void
  /** When a pod that could not be looked at is looked at again; default 5 s. */
  readonly againMs?: number
  /** Says something on a pod; never rejects. */
  say(
    pod: PodIdentity,
    what: { readonly reason: string; readonly message: string; readonly log: string },
  ): Promise<void>
}

/** A pod's sandbox as the CNI plugin made it. */
export interface Sandbox {
  readonly netns: string
  readonly podName: string
  readonly podNamespace: string
  readonly podUid?: string
  readonly ips: readonly string[]
}

const cniTimeoutMs = 25_000
const lookAgainMs = 5_000
/** On a static pod's object: the kubelet knows the pod by another UID. */
const mirror = 'kubernetes.io/config.mirror'

export class Agent {
  readonly #options: AgentOptions
  readonly #workers = new Map<string, PodWorker>()
  /** Addresses from the CNI plugin, which are newer than those that the API told then. */
  readonly #sandboxIps = new Map<
    string,
    { readonly ips: readonly string[]; readonly told: readonly string[]; readonly turn: number }
  >()
  /** How many sandboxes have been announced. */
  #turns = 0
  readonly #seen = new Set<string>()
  /** Pods that could not be looked at, and are going to be looked at again. */
  readonly #again = new Set<string>()
  /** Pods that went while the API was being asked about one; forgotten when nobody asks any more. */
  readonly #gone = new Set<string>()
  #asking = 0
  #store: PodStore | undefined
  #enrolled: string | undefined
  /** Until the pods that were there when the agent began have been considered. */
  #beginning = true
  #uninstalling = false

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
      if (pod !== undefined) this.#look(pod)
      return
    }
    this.#writeEnrolled()
    for (const pod of store.pods.values()) this.#look(pod)
    for (const { pod } of this.#workers.values()) if (!store.pods.has(pod.uid)) void this.#lookFor(pod)
    this.#beginning = false
  }

  /** Only the CNI plugin has told of this pod so far. If its end lay between two watches, no event and no list will tell it. */
  async #lookFor({ uid, namespace, name }: PodIdentity): Promise<void> {
    try {
      const found = await this.#options.fetch(namespace, name)
      if (found?.pod.metadata.uid === uid || this.#store?.pods.has(uid) === true) return
    } catch {
      // Asked again after the next list.
      return
    }
    this.removed({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, uid } })
  }

  /** A pod that cannot be looked at (no descriptor is left, say) is that pod's trouble, and is looked at again. */
  #look(pod: Pod): void {
    try {
      this.#consider(pod)
    } catch (cause) {
      const uid = pod.metadata.uid ?? ''
      // Whether a former run has taken it in was perhaps not seen.
      if (!this.#workers.has(uid)) this.#seen.delete(uid)
      void this.#options.tools.failed(identityOf(pod), cause instanceof Error ? cause : new Error(String(cause)))
      if (this.#again.has(uid)) return
      this.#again.add(uid)
      setTimeout(() => {
        this.#again.delete(uid)
        this.changed(uid)
      }, this.#options.againMs ?? lookAgainMs).unref()
    }
  }

  removed(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const worker = this.#workers.get(uid)
    if (this.#asking > 0) this.#gone.add(uid)
    this.#seen.delete(uid)
    this.#sandboxIps.delete(uid)
    this.#options.namespaces.forget(uid)
    if (worker === undefined) return
    worker.want({ kind: 'out', ended: true }, [])
    const forget = (): void => {
      // A list of an API server that was restored may have left it out, and the next one, or the CNI plugin, tells it again.
      if (this.#store?.pods.has(uid) !== true && !worker.isWanted) this.#workers.delete(uid)
    }
    void worker.settled(60_000).then(forget, forget)
  }

  /** Takes every pod out of the mesh whatever its labels say, or goes by the labels again. */
  uninstall(active: boolean): void {
    if (active === this.#uninstalling) return
    this.#uninstalling = active
    // The plugin's list goes with the plugin, and comes with it.
    this.#enrolled = undefined
    this.changed(undefined)
  }

  /** Resolves with the names of the pods that are still in the mesh after this time; usually earlier and with none. */
  async empty(withinMs: number): Promise<readonly string[]> {
    await Promise.allSettled([...this.#workers.values()].map((worker) => worker.settled(withinMs)))
    const left = [...this.#workers.values()].filter(({ state }) => state !== 'out')
    for (const worker of left)
      try {
        worker.abandon()
      } catch (cause) {
        const { namespace, name } = worker.pod
        this.#options.log.error('the rules of a pod cannot be taken away', {
          pod: `${namespace}/${name}`,
          error: String(cause),
        })
      }
    return left.map(({ pod }) => `${pod.namespace}/${pod.name}`)
  }

  /** Takes a new sandbox in, if it belongs to the mesh. Resolves when its pod may start; rejects with the reason why not. */
  async addSandbox({ podNamespace, podName, podUid, netns, ips }: Sandbox): Promise<void> {
    const turn = ++this.#turns
    const { found, gone } = await this.#ask(podNamespace, podName)
    const uid = found?.pod.metadata.uid
    if (found === undefined || uid === undefined)
      throw new Error(`pod ${podNamespace}/${podName} is not known to the Kubernetes API`)
    const { pod, namespace } = found
    if (podUid !== undefined && podUid !== uid && pod.metadata.annotations?.[mirror] === undefined)
      throw new Error(`pod ${podNamespace}/${podName} was replaced by another of its name`)
    // Its deletion was told already, and nothing would take it out again.
    if (gone) throw new Error(`pod ${podNamespace}/${podName} is gone`)
    // The plugin and the container runtime wait for no answer for ever, and the API may have been slow.
    if ((this.#sandboxIps.get(uid)?.turn ?? 0) > turn)
      throw new Error(`pod ${podNamespace}/${podName} has another sandbox by now`)
    this.#options.namespaces.register(uid, netns)
    this.#sandboxIps.set(uid, { ips, told: ipsOf(pod), turn })
    // A label that is newer than what the watch has brought.
    this.#store?.upsertNamespace(namespace)
    const former = this.#workers.get(uid)
    const known = this.#store?.pods.get(uid) ?? pod
    if (this.#decide(known).kind === 'in' && !this.#hasSandbox(uid))
      throw new Error(`the network namespace ${netns} of pod ${podNamespace}/${podName} cannot be opened`)
    this.#consider(known)
    former?.renew()
    await this.#workers.get(uid)?.settled(cniTimeoutMs, { startsPod: true })
  }

  /** What the API has, and whether the watch has told its end meanwhile. */
  async #ask(
    namespace: string,
    name: string,
  ): Promise<{ readonly found: Awaited<ReturnType<AgentOptions['fetch']>>; readonly gone: boolean }> {
    this.#asking++
    try {
      const found = await this.#options.fetch(namespace, name)
      return { found, gone: this.#gone.has(found?.pod.metadata.uid ?? '') }
    } finally {
      if (--this.#asking === 0) this.#gone.clear()
    }
  }

  /** Tells a ztunnel that has connected all pods that are in the mesh. */
  async introduce(peer: ZdsPeer): Promise<void> {
    await this.tell(peer)
    // Taken in by a former run, too, but not to be found now: no worker looks after them until there is more to see.
    for (const pod of this.#store?.pods.values() ?? []) {
      const { uid = '', annotations: own } = pod.metadata
      if (peer.closed.aborted) return
      if (this.#workers.has(uid) || own?.[annotations.redirection] === undefined) continue
      if (this.#decide(pod).kind === 'in') await peer.keep(uid).catch(() => undefined)
    }
    if (peer.closed.aborted) return
    await peer.snapshotSent()
    // Those that waited for a ztunnel, or that this one has refused.
    for (const worker of this.#workers.values()) worker.poke()
  }

  /** Tells a ztunnel all pods that are in the mesh; those that it knows are no news to it. */
  async tell(peer: ZdsPeer): Promise<void> {
    for (const worker of [...this.#workers.values()]) {
      const { nsFd, pod, state } = worker
      try {
        if (nsFd !== undefined) await this.#introduceOne(peer, pod, nsFd)
        // Taken in by a former run, and its namespace is not to be found: what ztunnel has goes on.
        else if (state !== 'out') await peer.keep(pod.uid)
      } catch (cause) {
        if (peer.closed.aborted) return
        if (nsFd === undefined) continue
        // Not waited for: the API may be slow or away, and the next pods are to be told.
        void this.#options.tools.failed(pod, cause instanceof Error ? cause : new Error(String(cause)))
        // Captured as it is, it must not stay without a proxy.
        worker.renew()
      }
    }
  }

  async #introduceOne(peer: ZdsPeer, pod: PodIdentity, nsFd: number): Promise<void> {
    // The worker may close its own while this one waits for its turn, and the number would soon be another pod's.
    const own = dupFd(nsFd)
    try {
      await peer.add({ uid: pod.uid, info: pod, nsFd: own })
    } finally {
      closeFd(own)
    }
    const worker = this.#workers.get(pod.uid)
    // It left meanwhile, and only the ztunnels that were there at its end have been told.
    if (worker === undefined || worker.state === 'out') await peer.del(pod.uid)
  }

  #consider(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const decision = this.#decide(pod)
    const first = !this.#seen.has(uid)
    this.#seen.add(uid)
    let worker = this.#workers.get(uid)
    let late = false
    if (worker === undefined) {
      const former = first && this.#wasIn(pod)
      if (decision.kind === 'in' && !this.#hasSandbox(uid)) {
        // Not started yet: the CNI plugin will say when there is something to capture.
        this.#seen.delete(uid)
        return
      }
      const foreign = this.#foreign(uid)
      const refusal = decision.kind === 'in' ? foreign : decision.refused ? decision.reason : undefined
      if (refusal !== undefined) this.#refuse(pod, refusal)
      // The annotation may be the other mesh's then, which must keep it.
      if (foreign !== undefined || (decision.kind === 'out' && !former)) return
      worker = new PodWorker(identityOf(pod), this.#options.tools)
      this.#workers.set(uid, worker)
      if (former) worker.resume()
      late = this.#beginning && !former
      this.#options.log.debug('pod considered', { pod: nameOf(pod), decision: decision.kind })
    }
    worker.want(decision.kind === 'in' ? decision : { kind: 'out', ended: decision.ended }, this.#ipsOf(pod))
    if (late) this.#sayLate(worker)
    if (decision.kind === 'out') this.#forgetWhenOut(uid, worker)
  }

  #decide(pod: Pod): Enrolment {
    const namespace = this.#store?.namespaces.get(pod.metadata.namespace ?? '')
    const decision = decideEnrolment(pod, namespace, this.#options.settings)
    if (decision.kind === 'out' || !this.#uninstalling) return decision
    return { kind: 'out', reason: 'the mesh is being uninstalled', ended: false, refused: false }
  }

  /** Which other mesh shows in the pod's namespace, where we have no rules; a pod's object need not show it. */
  #foreign(uid: string): string | undefined {
    const { rules } = this.#options.tools
    const names = this.#withNamespace(uid, (nsFd) => (rules.isCaptured(nsFd) ? [] : rules.chainNames(nsFd)))
    return foreignChain(names ?? [])
  }

  #refuse(pod: Pod, reason: string): void {
    void this.#options.say(identityOf(pod), {
      reason: 'MeshEnrolmentRefused',
      message: `the pod is not taken into the mesh: ${reason}`,
      log: 'a pod whose labels say that it is in the mesh is left out',
    })
  }

  /** A pod that started while there was no agent: that it was outside for a time must not go unnoticed. */
  #sayLate(worker: PodWorker): void {
    const message = 'the pod was labelled or started while the node agent was away, and was outside the mesh until now'
    const say = async (): Promise<void> => {
      if (worker.state !== 'in') return
      await this.#options.say(worker.pod, { reason: 'MeshEnrolledLate', message, log: 'a pod is taken in late' })
    }
    void worker.settled(60_000).then(say, () => undefined)
  }

  #forgetWhenOut(uid: string, worker: PodWorker): void {
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
    const told = ipsOf(pod)
    const sandbox = this.#sandboxIps.get(pod.metadata.uid ?? '')
    // The same ones in another order are no news, nor is what the API told before.
    const isOld = [[], sandbox?.told ?? [], sandbox?.ips ?? []].some((ips) => sameIps(ips, told))
    return sandbox !== undefined && isOld ? sandbox.ips : told
  }

  #writeEnrolled(): void {
    if (this.#uninstalling) return
    const names = [...(this.#store?.namespaces.values() ?? [])]
      .filter((one) => one.metadata.labels?.[labels.mode] === 'ambient')
      .map((one) => one.metadata.name)
      .sort()
    if (names.join() === this.#enrolled) return
    try {
      this.#options.enrolledNamespaces(names)
      this.#enrolled = names.join()
    } catch (cause) {
      // Tried again at the next change. Only a plugin that finds no agent goes by the list; the pods that run need none.
      this.#options.log.warn('the list of enrolled namespaces cannot be written', { error: String(cause) })
    }
  }
}

function sameIps(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join()
}

function identityOf({ metadata, spec }: Pod): PodIdentity {
  return {
    uid: metadata.uid ?? '',
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    serviceAccount: spec?.serviceAccountName ?? 'default',
  }
}
