// Tells the end of the mesh from a restart of the agent. Only an explicit sign is the end: the marker that the uninstallation
// writes first, the deletion of the mesh's namespace, or of the agent's DaemonSet. Whatever else ends the agent, pods stay in.
import {
  isStatus,
  type KubeClient,
  type KubeObject,
  listWatch,
  messageOf,
  resourcePath,
  type WatchedKind,
} from '@wishbone/runtime/kube'
import type { Logger } from '@wishbone/runtime/log'

const markerName = 'wishbone-uninstall'
const daemonSetName = 'wishbone-node'

const markerKind = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true } as const
const daemonSetKind = { apiVersion: 'apps/v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true } as const

export interface UninstallOptions {
  readonly client: KubeClient
  /** The mesh's own. */
  readonly namespace: string
  readonly log: Logger
  /** Called when the marker comes or goes. */
  onMarker(present: boolean): void
}

export class UninstallSigns {
  readonly #options: UninstallOptions
  #marker = false
  /** Undefined until it was seen. */
  #daemonSet: 'there' | 'gone' | undefined

  constructor(options: UninstallOptions) {
    this.#options = options
  }

  /** Follows marker and DaemonSet until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, log, onMarker } = this.#options
    const marker = (present: boolean): void => {
      if (present === this.#marker) return
      this.#marker = present
      onMarker(present)
    }
    const daemonSet = (object: KubeObject | undefined): void => {
      if (object !== undefined) this.#daemonSet = isGoing(object) ? 'gone' : 'there'
      else if (this.#daemonSet === 'there') this.#daemonSet = 'gone'
    }
    await Promise.all([
      listWatch(
        client,
        this.#only(markerKind, markerName),
        {
          replace: (objects) => marker(objects.length > 0),
          upsert: () => marker(true),
          remove: () => marker(false),
        },
        { log, signal },
      ),
      listWatch(
        client,
        this.#only(daemonSetKind, daemonSetName),
        {
          replace: (objects) => daemonSet(objects[0]),
          upsert: (object) => daemonSet(object),
          remove: () => daemonSet(undefined),
        },
        { log, signal },
      ),
    ])
  }

  /**
   * Asked when the agent is told to stop: why this is the end of the mesh, or undefined for any other end. An API that cannot
   * be reached or does not know us any more is no sign.
   */
  async sign(): Promise<string | undefined> {
    const { client, namespace, log } = this.#options
    if (this.#marker) return `the ConfigMap ${namespace}/${markerName} is there`
    if (this.#daemonSet === 'gone') return `the DaemonSet ${namespace}/${daemonSetName} is deleted`
    const look = (kind: WatchedKind, name: string): Promise<KubeObject | undefined> =>
      client
        .request<KubeObject>('GET', resourcePath(kind, namespace, name), { timeoutMs: 3_000 })
        .catch((cause: unknown) => {
          if (isStatus(cause, 404)) return undefined
          throw cause
        })
    try {
      const daemonSet = await look(daemonSetKind, daemonSetName)
      if (daemonSet === undefined || isGoing(daemonSet)) return `the DaemonSet ${namespace}/${daemonSetName} is deleted`
      if ((await look(markerKind, markerName)) !== undefined) return `the ConfigMap ${namespace}/${markerName} is there`
    } catch (cause) {
      log.info('no sign that the mesh is being uninstalled; pods stay in it', { reason: messageOf(cause) })
    }
    return undefined
  }

  #only(kind: WatchedKind, name: string): WatchedKind {
    return { ...kind, namespace: this.#options.namespace, fieldSelector: `metadata.name=${name}` }
  }
}

/** Deleted but for finalizers. A deletion that leaves the pods alone (--cascade=orphan) is not meant for them. */
function isGoing({ metadata }: KubeObject): boolean {
  const { finalizers = [] } = metadata as { readonly finalizers?: readonly string[] }
  return metadata.deletionTimestamp !== undefined && !finalizers.includes('orphan')
}
