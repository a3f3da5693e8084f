// What the agent writes to the Kubernetes API: the annotation by which a pod is advertised, and events about failures.
import { isStatus, type KubeClient, resourcePath } from '@wishbone/runtime/kube'
import type { Logger } from '@wishbone/runtime/log'
import { annotations } from '../enrolment/decide.ts'
import { eventKind, type Pod, podKind } from '../kinds.ts'
import type { PodIdentity } from './worker.ts'

const component = 'wishbone-node'

export class PodApi {
  readonly #client: KubeClient
  readonly #nodeName: string
  readonly #log: Logger
  readonly #reported = new Map<string, string>()

  constructor(client: KubeClient, nodeName: string, log: Logger) {
    this.#client = client
    this.#nodeName = nodeName
    this.#log = log
  }

  async get(namespace: string, name: string): Promise<Pod | undefined> {
    try {
      return await this.#client.get<Pod>(resourcePath(podKind, namespace, name))
    } catch (cause) {
      if (isStatus(cause, 404)) return undefined
      throw cause
    }
  }

  /** "enabled" or no annotation. A pod that is gone, or was replaced by another of its name, needs neither. */
  async annotate({ namespace, name, uid }: PodIdentity, value: 'enabled' | 'pending' | null): Promise<void> {
    const body = { metadata: { uid, annotations: { [annotations.redirection]: value } } }
    try {
      await this.#client.request('PATCH', resourcePath(podKind, namespace, name), { body, patch: 'merge' })
      if (value !== 'pending') this.#reported.delete(uid)
    } catch (cause) {
      if (!isStatus(cause, 404) && !isStatus(cause, 409) && !isStatus(cause, 422)) throw cause
    }
  }

  /** Says on the pod why it is not in the mesh. The same failure is said once. Never rejects. */
  async report(pod: PodIdentity, error: Error): Promise<void> {
    if (this.#reported.get(pod.uid) === error.message) return
    this.#reported.set(pod.uid, error.message)
    this.#log.warn('the pod could not be taken into or out of the mesh; trying again', {
      pod: `${pod.namespace}/${pod.name}`,
      error: error.message,
    })
    const now = new Date().toISOString()
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${pod.name}.${Date.now().toString(16)}`, namespace: pod.namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: pod.name, namespace: pod.namespace, uid: pod.uid },
      type: 'Warning',
      reason: 'MeshEnrolmentFailed',
      message: error.message.slice(0, 1000),
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
