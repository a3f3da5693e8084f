// The pods of this node and the namespaces of the cluster, as the Kubernetes API last told them.
import { type KubeClient, listWatch, type WatchedKind } from '@wishbone/runtime/kube'
import type { Logger } from '@wishbone/runtime/log'
import { type Namespace, namespaceKind, type Pod, podKind } from '../kinds.ts'

export interface StoreObserver {
  /** Something changed, or the first list is complete; `undefined` concerns all pods. */
  changed(uid: string | undefined): void
  /** The pod's object is gone. */
  removed(pod: Pod): void
}

export class PodStore {
  readonly pods = new Map<string, Pod>()
  readonly namespaces = new Map<string, Namespace>()
  readonly #observer: StoreObserver
  #podsListed = false
  #namespacesListed = false

  constructor(observer: StoreObserver) {
    this.#observer = observer
  }

  /** Whether both lists have been complete once. Nothing is to be decided before. */
  get synced(): boolean {
    return this.#podsListed && this.#namespacesListed
  }

  /** Follows both kinds until the signal. */
  async run(
    client: KubeClient,
    nodeName: string,
    options: { readonly log: Logger; readonly signal: AbortSignal },
  ): Promise<void> {
    const pods: WatchedKind = { ...podKind, fieldSelector: `spec.nodeName=${nodeName}` }
    await Promise.all([
      listWatch(
        client,
        pods,
        {
          replace: (objects) => this.replacePods(objects as readonly Pod[]),
          upsert: (object) => this.upsert(object as Pod),
          remove: (object) => this.remove(object as Pod),
        },
        options,
      ),
      listWatch(
        client,
        namespaceKind,
        {
          replace: (objects) => this.replaceNamespaces(objects),
          upsert: (object) => this.upsertNamespace(object),
          remove: (object) => void this.namespaces.delete(object.metadata.name),
        },
        options,
      ),
    ])
  }

  upsert(pod: Pod): void {
    const { uid } = pod.metadata
    if (uid === undefined) return
    this.pods.set(uid, pod)
    if (this.synced) this.#observer.changed(uid)
  }

  /** Takes what is newer than what is known. */
  upsertNamespace(namespace: Namespace): void {
    const { name, labels, deletionTimestamp } = namespace.metadata
    const old = this.namespaces.get(name)?.metadata
    // The agent asks for namespaces too, and what it is told may be older than what the watch has told meanwhile.
    if (versionOf(old) > versionOf(namespace.metadata)) return
    this.namespaces.set(name, namespace)
    if (!this.synced) return
    if (JSON.stringify(old?.labels) !== JSON.stringify(labels) || old?.deletionTimestamp !== deletionTimestamp)
      this.#observer.changed(undefined)
  }

  replaceNamespaces(namespaces: readonly Namespace[]): void {
    this.namespaces.clear()
    for (const namespace of namespaces) this.namespaces.set(namespace.metadata.name, namespace)
    this.#namespacesListed = true
    if (this.synced) this.#observer.changed(undefined)
  }

  replacePods(pods: readonly Pod[]): void {
    const gone = new Map(this.pods)
    this.pods.clear()
    for (const pod of pods) {
      if (pod.metadata.uid === undefined) continue
      this.pods.set(pod.metadata.uid, pod)
      gone.delete(pod.metadata.uid)
    }
    this.#podsListed = true
    for (const pod of gone.values()) this.#observer.removed(pod)
    if (this.synced) this.#observer.changed(undefined)
  }

  remove(pod: Pod): void {
    if (pod.metadata.uid === undefined) return
    this.pods.delete(pod.metadata.uid)
    this.#observer.removed(pod)
  }
}

/** Resource versions grow and may be compared since Kubernetes 1.35 (KEP-5504); what is no number is older than any. */
function versionOf(metadata: Namespace['metadata'] | undefined): bigint {
  const version = metadata?.resourceVersion ?? ''
  return /^\d+$/.test(version) ? BigInt(version) : -1n
}
