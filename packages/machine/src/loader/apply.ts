// Applies objects through the API server in the order in which they can exist; what is refused is reported with its place.

import { isStatus, KubeError, resourcePath } from '@wishbone/runtime/kube'
import { delay, inParallel } from '@wishbone/runtime/lifecycle'
import { describe, identity, type Loaded, type Mistake } from '@wishbone/runtime/manifests'
import type { KubeObject } from '../api/objects/object.ts'
import type { ApiClient } from '../client/api.ts'
import { fieldIn, unknownKind } from './hints.ts'

interface KindPath {
  readonly plural: string
  readonly namespaced: boolean
}

/** Kinds that others need come first. */
const order = [
  'CustomResourceDefinition',
  'Namespace',
  'ServiceAccount',
  'ClusterRole',
  'Role',
  'ClusterRoleBinding',
  'RoleBinding',
  'Secret',
  'ConfigMap',
  'GatewayClass',
  'Service',
]
const rank = (object: KubeObject): number => {
  const index = order.indexOf(object.kind)
  return index < 0 ? order.length : index
}

/** The server's words without what the line already says, at the line of the field they are about, with a hint. */
function refusal({ object, place, lineOf }: Loaded, cause: Error): Mistake {
  const said = cause instanceof KubeError ? cause.detail : cause.message
  const message = said
    .replace(/^\S+ in version "[^"]+" cannot be handled as an? \S+: strict decoding error: /, '')
    .replace(/^\S+ "[^"]*" is invalid: /, '')
  const field = fieldIn(message)
  const missing = /^namespaces "([^"]+)" not found$/.exec(message)?.[1]
  const above = field
    .replaceAll(/\[\d+\]/g, '')
    .split('.')
    .slice(0, -1)
  let hint = ''
  if (missing) hint = `; add a Namespace ${missing} to the folder`
  else if (message.startsWith('unknown field'))
    hint = `; check its spelling and place: kubectl explain ${[object.kind.toLowerCase(), ...above].join('.')}`
  return {
    place: field && lineOf ? { file: place.file, line: lineOf(field) } : place,
    object: describe(object),
    // What is there from before stays in force; what is new is not.
    message: `not applied: ${message}${hint}`,
    refused: identity(object),
  }
}

/** Requests at a time: a socket takes only so many connections that wait. */
const atOnce = 16

export class Applier {
  readonly #client: ApiClient
  readonly #kinds = new Map<string, KindPath>()

  constructor(client: ApiClient) {
    this.#client = client
  }

  async #kindOf(object: KubeObject): Promise<KindPath> {
    const key = `${object.apiVersion}/${object.kind}`
    // A definition that was just applied takes a moment to be served.
    for (let tries = 0; tries < 20; tries++) {
      const known = this.#kinds.get(key)
      if (known) return known
      const path = object.apiVersion.includes('/') ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`
      try {
        const list = await this.#client.kube.get<{ resources: { name: string; kind: string; namespaced: boolean }[] }>(
          path,
        )
        for (const { name, kind, namespaced } of list.resources) {
          if (!name.includes('/')) this.#kinds.set(`${object.apiVersion}/${kind}`, { plural: name, namespaced })
        }
      } catch (cause) {
        if (!isStatus(cause, 404)) throw cause
      }
      if (this.#kinds.has(key)) continue
      if (tries >= 3) break
      await delay(50)
    }
    throw new Error(unknownKind(object.apiVersion, object.kind, await this.#served()))
  }

  /** Every kind of the server, as `apiVersion/Kind`. */
  async #served(): Promise<readonly string[]> {
    interface Groups {
      readonly groups: readonly { readonly versions: readonly { readonly groupVersion: string }[] }[]
    }
    const { groups } = await this.#client.kube.get<Groups>('/apis')
    const versions = ['v1', ...groups.flatMap((group) => group.versions.map((version) => version.groupVersion))]
    const lists = await Promise.all(
      versions.map(async (version) => {
        const path = version.includes('/') ? `/apis/${version}` : `/api/${version}`
        const list = await this.#client.kube.get<{ resources: { name: string; kind: string }[] }>(path)
        return list.resources.filter(({ name }) => !name.includes('/')).map(({ kind }) => `${version}/${kind}`)
      }),
    )
    return lists.flat()
  }

  /** Where the object is on the server. Rejects for an unknown kind, with what to write instead. */
  async pathOf(object: KubeObject): Promise<string> {
    const kind = await this.#kindOf(object)
    const { name, namespace = 'default' } = object.metadata
    return resourcePath({ ...kind, apiVersion: object.apiVersion, kind: object.kind }, namespace, name)
  }

  /** Applies all; resolves with the mistakes. Objects that were refused leave what was there in force. */
  async apply(objects: readonly Loaded[], manager: string): Promise<readonly Mistake[]> {
    const mistakes: Mistake[] = []
    const groups = Map.groupBy(objects, ({ object }) => rank(object))
    for (const [, group] of [...groups].sort((a, b) => a[0] - b[0])) {
      await inParallel(group, atOnce, async (loaded) => {
        const { object } = loaded
        try {
          const query = { fieldManager: manager, force: 'true', fieldValidation: 'Strict' }
          await this.#client.kube.request('PATCH', await this.pathOf(object), { body: object, patch: 'apply', query })
        } catch (cause) {
          mistakes.push(refusal(loaded, cause as Error))
        }
      })
    }
    return mistakes
  }

  async remove(object: KubeObject): Promise<void> {
    try {
      await this.#client.kube.request('DELETE', await this.pathOf(object))
    } catch (cause) {
      if (!isStatus(cause, 404)) throw cause
    }
  }
}

export interface FolderState {
  /** By identity: what was applied, and from which file. */
  readonly applied: ReadonlyMap<string, Loaded>
}

/**
 * What to apply and what to delete now that a folder reads like this. A file with a mistake keeps its earlier objects;
 * of a file that was written again everything is applied, since somebody may have changed the objects meanwhile. Pure.
 */
export function planChanges(
  before: FolderState,
  objects: readonly Loaded[],
  brokenFiles: ReadonlySet<string>,
  changedFiles: ReadonlySet<string> = new Set(),
): { apply: readonly Loaded[]; remove: readonly Loaded[] } {
  const now = new Set(objects.map((loaded) => identity(loaded.object)))
  const apply = objects.filter((loaded) => {
    const earlier = before.applied.get(identity(loaded.object))
    return (
      !earlier ||
      changedFiles.has(loaded.place.file) ||
      JSON.stringify(earlier.object) !== JSON.stringify(loaded.object)
    )
  })
  const remove = [...before.applied]
    .filter(([key, loaded]) => !now.has(key) && !brokenFiles.has(loaded.place.file))
    .map(([, loaded]) => loaded)
  return { apply, remove }
}
