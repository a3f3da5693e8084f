// How the machine's own parts (kubelet, controllers, loader) talk to the API server: plain HTTP on its admin socket,
// as clients like any other.
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { isStatus, KubeError, type ResourceKind, resourcePath } from '@wishbone/runtime/kube'
import type { KubeObject } from '../api/object.ts'
import { socketPath as short } from '../socket-path.ts'

const core = (kind: string, plural: string, namespaced = true): ResourceKind => ({
  apiVersion: 'v1',
  kind,
  plural,
  namespaced,
})
const apps = (kind: string, plural: string): ResourceKind => ({ apiVersion: 'apps/v1', kind, plural, namespaced: true })

/** The kinds that the machine itself works with. */
export const resources = {
  namespaces: core('Namespace', 'namespaces', false),
  nodes: core('Node', 'nodes', false),
  pods: core('Pod', 'pods'),
  services: core('Service', 'services'),
  secrets: core('Secret', 'secrets'),
  configMaps: core('ConfigMap', 'configmaps'),
  serviceAccounts: core('ServiceAccount', 'serviceaccounts'),
  events: core('Event', 'events'),
  endpointSlices: {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
  },
  deployments: apps('Deployment', 'deployments'),
  replicaSets: apps('ReplicaSet', 'replicasets'),
  statefulSets: apps('StatefulSet', 'statefulsets'),
  daemonSets: apps('DaemonSet', 'daemonsets'),
  jobs: { apiVersion: 'batch/v1', kind: 'Job', plural: 'jobs', namespaced: true },
} as const satisfies Record<string, ResourceKind>

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: T
}

export interface ApiClient {
  request<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T>
  get<T extends KubeObject>(resource: ResourceKind, namespace: string | undefined, name: string): Promise<T | undefined>
  create<T extends KubeObject>(resource: ResourceKind, object: KubeObject): Promise<T>
  /** JSON merge patch, on the object or on its status. */
  patch<T extends KubeObject>(
    resource: ResourceKind,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    subresource?: string,
  ): Promise<T>
  /** Not there any more is fine. */
  remove(resource: ResourceKind, namespace: string | undefined, name: string, graceSeconds?: number): Promise<void>
  watch<T>(path: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal): Promise<void>
}

export function createApiClient(socketPath: string): ApiClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })

  const open = (
    method: string,
    path: string,
    body: Buffer | undefined,
    contentType: string,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = {
        accept: 'application/json',
        ...(body ? { 'content-type': contentType, 'content-length': body.length } : {}),
      }
      const options = {
        socketPath: short(socketPath),
        method,
        path,
        headers,
        agent: signal ? undefined : agent,
        ...(signal ? { signal } : {}),
      }
      const message = request(options, resolve)
      message.on('error', reject)
      message.end(body)
    })

  const failure = (status: number, body: string): KubeError => {
    try {
      const parsed = JSON.parse(body) as { reason?: string; message?: string }
      return new KubeError(status, parsed.reason ?? 'Unknown', parsed.message ?? body)
    } catch {
      return new KubeError(status, 'Unknown', body || `status ${status}`)
    }
  }

  const send: ApiClient['request'] = async <T>(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ) => {
    const message = await open(
      method,
      path,
      body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      contentType,
    )
    const answer = await text(message)
    if ((message.statusCode ?? 0) >= 400) throw failure(message.statusCode ?? 0, answer)
    return JSON.parse(answer) as T
  }

  const unlessGone = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work
    } catch (cause) {
      if (isStatus(cause, 404)) return undefined
      throw cause
    }
  }

  return {
    request: send,
    get: (resource, namespace, name) => unlessGone(send('GET', resourcePath(resource, namespace, name))),
    create: (resource, object) => send('POST', resourcePath(resource, object.metadata.namespace), object),
    patch: (resource, namespace, name, patch, subresource) =>
      send('PATCH', resourcePath(resource, namespace, name, subresource), patch, 'application/merge-patch+json'),
    async remove(resource, namespace, name, graceSeconds) {
      const query = graceSeconds === undefined ? '' : `?gracePeriodSeconds=${graceSeconds}`
      await unlessGone(send('DELETE', `${resourcePath(resource, namespace, name)}${query}`))
    },
    async watch<T>(path: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal) {
      const message = await open('GET', path, undefined, '', signal)
      if ((message.statusCode ?? 0) >= 400) throw failure(message.statusCode ?? 0, await text(message))
      message.setEncoding('utf8')
      let rest = ''
      for await (const chunk of message) {
        const lines = (rest + (chunk as string)).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) if (line) onEvent(JSON.parse(line) as WatchEvent<T>)
      }
    },
  }
}
