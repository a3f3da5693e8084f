// What the agent writes to the Kubernetes API: the annotation by which a pod is advertised, and events about failures.
import { isStatus, type KubeClient, resourcePath } from '@wishbone/runtime/kube'
import { Room } from '@wishbone/runtime/lifecycle'
import type { Logger } from '@wishbone/runtime/log'
import { annotations } from '../enrolment/decide.ts'
import { eventKind, type Namespace, namespaceKind, type Pod, podKind } from '../kinds.ts'
import type { PodIdentity } from './identity.ts'

const component = 'wishbone-node'
/** Of one trouble of one pod. */
const mostMessages = 20

export class PodApi {
  readonly #client: KubeClient
  readonly #nodeName: string
  readonly #log: Logger
  /** Messages by pod, since it last went well: two that take turns must not be an event a second. */
  readonly #reported = new Map<string, Set<string>>()
  /** Fifty pods of one label must not be fifty requests at once. */
  readonly #room = new Room(16)

  constructor(client: KubeClient, nodeName: string, log: Logger) {
    this.#client = client
    this.#nodeName = nodeName
    this.#log = log
  }

  /** Both as they are now: the CNI plugin may be ahead of the watches. */
  async get(
    namespace: string,
    name: string,
  ): Promise<{ readonly pod: Pod; readonly namespace: Namespace } | undefined> {
    try {
      const [pod, owner] = await Promise.all([
        this.#client.get<Pod>(resourcePath(podKind, namespace, name)),
        this.#client.get<Namespace>(resourcePath(namespaceKind, undefined, namespace)),
      ])
      return { pod, namespace: owner }
    } catch (cause) {
      if (isStatus(cause, 404)) return undefined
      throw cause
    }
  }

  /**
   * "enabled" or no annotation. A pod that is gone, or was replaced by another of its name, needs neither.
   * @returns the pod's new resource version
   */
  async annotate({ namespace, name, uid }: PodIdentity, value: 'enabled' | null): Promise<string | undefined> {
    const body = { metadata: { uid, annotations: { [annotations.redirection]: value } } }
    const release = await this.#room.enter()
    try {
      const path = resourcePath(podKind, namespace, name)
      const { metadata } = await this.#client.request<Pod>('PATCH', path, { body, patch: 'merge' })
      this.#reported.delete(uid)
      return metadata.resourceVersion
    } catch (cause) {
      if (isStatus(cause, 404)) return undefined
      // 422 if it is another pod by now, whose UID can't be changed; 409 also if too many wrote at the same time.
      const isOther = (isStatus(cause, 409) || isStatus(cause, 422)) && !(await this.#isThere(namespace, name, uid))
      if (!isOther) throw cause
      return undefined
    } finally {
      release()
    }
  }

  async #isThere(namespace: string, name: string, uid: string): Promise<boolean> {
    try {
      return (await this.#client.get<Pod>(resourcePath(podKind, namespace, name))).metadata.uid === uid
    } catch (cause) {
      if (isStatus(cause, 404)) return false
      throw cause
    }
  }

  /** Says on the pod why it is not in the mesh. Never rejects. */
  async report(pod: PodIdentity, error: Error): Promise<void> {
    await this.say(pod, {
      reason: 'MeshEnrolmentFailed',
      message: error.message,
      log: 'the pod could not be taken into or out of the mesh; trying again',
    })
  }

  /** Writes a Warning event on the pod, and the log. The same message is said once. Never rejects. */
  async say(
    pod: PodIdentity,
    { reason, message, log }: { readonly reason: string; readonly message: string; readonly log: string },
  ): Promise<void> {
    const reported = this.#reported.get(pod.uid) ?? new Set()
    if (reported.has(message) || reported.size >= mostMessages) return
    this.#reported.set(pod.uid, reported.add(message))
    this.#log.warn(log, { pod: `${pod.namespace}/${pod.name}`, reason: message })
    const now = new Date().toISOString()
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${pod.name}.${Date.now().toString(16)}`, namespace: pod.namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: pod.name, namespace: pod.namespace, uid: pod.uid },
      type: 'Warning',
      reason,
      message: message.slice(0, 1000),
      source: { component, host: this.#nodeName },
      reportingComponent: component,
      reportingInstance: this.#nodeName,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    }
    try {
      await this.#client.request('POST', resourcePath(eventKind, pod.namespace), { body: event })
    } catch (cause) {
      this.#log.debug('an event could not be written', { pod: pod.name, error: String(cause) })
    }
  }

  forget(uid: string): void {
    this.#reported.delete(uid)
  }
}
