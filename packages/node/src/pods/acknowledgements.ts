// Whether all proxies know a pod as it is now: asked of every replica of the controller, as each knows its own clients only.
import http from 'node:http'
import { type KubeClient, resourcePath } from '@wishbone/runtime/kube'
import { ipsOf, type Pod, podKind } from '../kinds.ts'
import type { PodIdentity } from './identity.ts'

const port = 8080
const selector = 'app=wishbone-controller'
/** Pods that leave together ask together. */
const replicasForMs = 2_000
const answerMs = 1_000

export class Acknowledgements {
  readonly #client: KubeClient
  readonly #namespace: string
  readonly #clusterId: string
  #replicas: Promise<readonly string[]> = Promise.resolve([])
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(client: KubeClient, namespace: string, clusterId: string) {
    this.#client = client
    this.#namespace = namespace
    this.#clusterId = clusterId
  }

  /** False when a replica says so, when one gives no answer, and when there is none to ask. Never rejects. */
  async of(pod: PodIdentity, version: string): Promise<boolean> {
    const name = `${this.#clusterId}//Pod/${pod.namespace}/${pod.name}`
    const query = new URLSearchParams({ name, resourceVersion: version })
    try {
      const replicas = await this.#find()
      const answers = await Promise.all(replicas.map((ip) => ask(ip, `/debug/acknowledged?${query}`)))
      return answers.length > 0 && answers.every(Boolean)
    } catch {
      return false
    }
  }

  #find(): Promise<readonly string[]> {
    const now = performance.now()
    if (now - this.#askedAt > replicasForMs) {
      this.#askedAt = now
      this.#replicas = this.#list()
      this.#replicas.catch(() => undefined)
    }
    return this.#replicas
  }

  async #list(): Promise<readonly string[]> {
    const { items = [] } = await this.#client.request<{ items?: readonly Pod[] }>(
      'GET',
      resourcePath(podKind, this.#namespace),
      { query: { labelSelector: selector }, timeoutMs: 2_000 },
    )
    return items
      .filter(({ status, metadata }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined)
      .flatMap((pod) => ipsOf(pod).slice(0, 1))
  }
}

async function ask(ip: string, path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const request = http.get({ host: ip, port, path, agent: false, timeout: answerMs }, async (response) => {
    try {
      let text = ''
      for await (const chunk of response) text += String(chunk)
      resolve((JSON.parse(text) as { readonly acknowledged?: unknown }).acknowledged === true)
    } catch (cause) {
      reject(cause)
    }
  })
  request.on('timeout', () => request.destroy(new Error('no answer')))
  request.on('error', (cause: NodeJS.ErrnoException) => {
    // A replica that does not listen has no clients either.
    if (cause.code === 'ECONNREFUSED') resolve(true)
    else reject(cause)
  })
  return promise
}
