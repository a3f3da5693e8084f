// A small Kubernetes client for people's commands: requests and the names of kinds. Not for the controllers,
// which keep a cache; this one asks the server each time.

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { KubeError, resourcePath } from '@wishbone/runtime/kube'
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

export interface KubeResponse {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

export interface KubeClient {
  readonly config: KubeConfig
  /** One request; rejects with KubeError for every status from 400. `accept` is what the answer shall be, JSON by default. */
  request(method: string, path: string, body?: unknown, contentType?: string, accept?: string): Promise<KubeResponse>
  /** The body as it arrives: followed logs. */
  stream(path: string): Promise<IncomingMessage>
  kinds(): Promise<readonly KindName[]>
  /** By plural, singular, short name or kind, in any case, with or without `.group`; KubeError 404 otherwise. */
  kindNamed(word: string): Promise<KindName>
  kindOf(object: { readonly apiVersion: string; readonly kind: string }): Promise<KindName>
  pathOf(kind: KindName, namespace?: string, name?: string): string
  close(): void
}

function errorOf(response: KubeResponse): KubeError {
  try {
    const parsed = JSON.parse(response.body) as { message?: string; reason?: string }
    return new KubeError(response.status, parsed.reason ?? 'Unknown', parsed.message ?? response.body)
  } catch {
    return new KubeError(response.status, 'Unknown', response.body || `the API server answered ${response.status}`)
  }
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
  const base = new URL(config.server)
  const secure = base.protocol === 'https:'
  const agent = secure ? new Agent({ keepAlive: true, ...tlsOptions(config) }) : new HttpAgent({ keepAlive: true })
  let kinds: Promise<readonly KindName[]> | undefined

  const open = (
    method: string,
    path: string,
    body?: Buffer,
    contentType?: string,
    accept = 'application/json',
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const message = (secure ? httpsRequest : httpRequest)(
        new URL(path, base),
        {
          agent,
          method,
          headers: {
            accept,
            'user-agent': 'wishbone',
            ...(config.token ? { authorization: `Bearer ${config.token}` } : {}),
            ...(body ? { 'content-type': contentType ?? 'application/json', 'content-length': body.length } : {}),
          },
        },
        resolve,
      )
      message.on('error', (cause) =>
        reject(new Error(`cannot reach the API server at ${config.server}: ${cause.message}`, { cause })),
      )
      message.end(body)
    })

  const request: KubeClient['request'] = async (method, path, body, contentType, accept) => {
    const bytes = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    const message = await open(method, path, bytes, contentType, accept)
    const response = { status: message.statusCode ?? 0, body: await text(message), headers: message.headers }
    if (response.status >= 400) throw errorOf(response)
    return response
  }

  const get = async <T>(path: string): Promise<T> => JSON.parse((await request('GET', path)).body) as T

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
    async stream(path) {
      const message = await open('GET', path)
      if ((message.statusCode ?? 0) >= 400) {
        throw errorOf({ status: message.statusCode ?? 0, body: await text(message), headers: message.headers })
      }
      return message
    },
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
    close: () => agent.destroy(),
  }
  return client
}
