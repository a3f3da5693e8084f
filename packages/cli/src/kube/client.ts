// A small Kubernetes client for people's commands: requests and the names of kinds. Not for the controllers,
// which keep a cache; this one asks the server each time.
import type { IncomingMessage } from 'node:http'
import {
  KubeClient as ApiClient,
  fixedConnection,
  KubeError,
  messageOf,
  type RequestOptions,
  resourcePath,
} from '@wishbone/runtime/kube'
import type { KubeConfig } from './config.ts'

/** What the server calls a kind: `plural` in paths, and whether it lives in namespaces. */
export interface KindName {
  readonly apiVersion: string
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly namespaced: boolean
}

export interface KubeClient {
  readonly config: KubeConfig
  /** The answer's object; rejects with KubeError, whose message is the server's, for every status but 2xx. */
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>
  /** The body as it arrives: followed logs. */
  stream(path: string): Promise<IncomingMessage>
  kinds(): Promise<readonly KindName[]>
  /** By plural, singular, short name or kind, in any case, with or without `.group`; KubeError 404 otherwise. */
  kindNamed(word: string): Promise<KindName>
  kindOf(object: { readonly apiVersion: string; readonly kind: string }): Promise<KindName>
  pathOf(kind: KindName, namespace?: string, name?: string): string
  close(): void
}

/** Credentials and authority as node:https wants them. */
export function tlsOptions(config: KubeConfig): { ca?: string; cert?: string; key?: string } {
  return {
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    ...(config.certificate === undefined ? {} : { cert: config.certificate }),
    ...(config.key === undefined ? {} : { key: config.key }),
  }
}

export function createKubeClient(config: KubeConfig): KubeClient {
  const api = new ApiClient(fixedConnection(config.server, config.token, tlsOptions(config)))
  let kinds: Promise<readonly KindName[]> | undefined

  /** What a person asked for needs no repeating: only the server's words are told. */
  const inWords = (cause: unknown): never => {
    if (cause instanceof KubeError)
      throw new KubeError(cause.status, cause.reason, cause.detail || `the API server answered ${cause.status}`)
    throw new Error(`cannot reach the API server at ${config.server}: ${messageOf(cause)}`, { cause })
  }
  const request: KubeClient['request'] = <T>(method: string, path: string, options?: RequestOptions) =>
    api.request<T>(method, path, options).catch(inWords)
  const get = <T>(path: string): Promise<T> => request<T>('GET', path)

  interface ApiResource {
    name: string
    singularName: string
    namespaced: boolean
    kind: string
    shortNames?: string[]
  }

  const loadKinds = async (): Promise<readonly KindName[]> => {
    const groups = await get<{
      groups: { versions: { groupVersion: string }[]; preferredVersion: { groupVersion: string } }[]
    }>('/apis')
    const versions = ['v1', ...groups.groups.flatMap((group) => group.versions.map((version) => version.groupVersion))]
    const lists = await Promise.all(
      versions.map(async (apiVersion) => {
        const path = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
        const list = await get<{ resources: ApiResource[] }>(path)
        return list.resources
          .filter((resource) => !resource.name.includes('/'))
          .map((resource) => ({
            apiVersion,
            kind: resource.kind,
            plural: resource.name,
            singular: resource.singularName || resource.kind.toLowerCase(),
            shortNames: resource.shortNames ?? [],
            namespaced: resource.namespaced,
          }))
      }),
    )
    return lists.flat()
  }

  const client: KubeClient = {
    config,
    request,
    stream: (path) => api.open('GET', path).catch(inWords),
    kinds() {
      kinds ??= loadKinds().catch((cause) => {
        kinds = undefined
        throw cause
      })
      return kinds
    },
    async kindNamed(word) {
      const [first = '', ...group] = word.toLowerCase().split('.')
      const found = (await client.kinds()).find(
        (kind) =>
          (group.length === 0 || kind.apiVersion.startsWith(`${group.join('.')}/`)) &&
          [kind.plural, kind.singular, kind.kind.toLowerCase(), ...kind.shortNames].includes(first),
      )
      if (!found) throw new KubeError(404, 'NotFound', `the server doesn't have a resource type "${word}"`)
      return found
    },
    async kindOf(object) {
      for (const fresh of [false, true]) {
        // A CustomResourceDefinition may have arrived since.
        if (fresh) kinds = undefined
        const found = (await client.kinds()).find(
          (kind) => kind.apiVersion === object.apiVersion && kind.kind === object.kind,
        )
        if (found) return found
      }
      throw new KubeError(
        404,
        'NotFound',
        `the server doesn't know the kind ${object.kind} of ${object.apiVersion}; is its CustomResourceDefinition installed?`,
      )
    },
    pathOf: (kind, namespace, name) => resourcePath(kind, namespace || undefined, name || undefined),
    close: () => api.close(),
  }
  return client
}
