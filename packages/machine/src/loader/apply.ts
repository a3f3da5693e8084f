// Applies objects through the API server in the order in which they can exist; what is refused is reported with its place.
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeObject } from '../api/object.ts'
import { type ApiClient, ClientError } from '../client/api.ts'
import { describe, identity, type Loaded, type Mistake } from './read.ts'

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
        const list = await this.#client.request<{ resources: { name: string; kind: string; namespaced: boolean }[] }>(
          'GET',
          path,
        )
        for (const { name, kind, namespaced } of list.resources) {
          if (!name.includes('/')) this.#kinds.set(`${object.apiVersion}/${kind}`, { plural: name, namespaced })
        }
      } catch (cause) {
        if (!(cause instanceof ClientError && cause.status === 404)) throw cause
      }
      if (this.#kinds.has(key)) continue
      if (tries >= 3) break
      await delay(50)
    }
    throw new Error(
      `there is no kind ${object.kind} in ${object.apiVersion}; check the spelling, or add its CustomResourceDefinition`,
    )
  }

  async #pathOf(object: KubeObject): Promise<string> {
    const kind = await this.#kindOf(object)
    const root = object.apiVersion.includes('/') ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`
    const scope = kind.namespaced ? `/namespaces/${object.metadata.namespace ?? 'default'}` : ''
    return `${root}${scope}/${kind.plural}/${encodeURIComponent(object.metadata.name)}`
  }

  /** Applies all; resolves with the mistakes. Objects that were refused leave what was there in force. */
  async apply(objects: readonly Loaded[], manager: string): Promise<readonly Mistake[]> {
    const mistakes: Mistake[] = []
    const groups = new Map<number, Loaded[]>()
    for (const loaded of objects) groups.set(rank(loaded.object), [...(groups.get(rank(loaded.object)) ?? []), loaded])
    for (const [, group] of [...groups].sort((a, b) => a[0] - b[0])) {
      await Promise.all(
        group.map(async ({ object, place }) => {
          try {
            const query = `fieldManager=${manager}&force=true&fieldValidation=Strict`
            await this.#client.request(
              'PATCH',
              `${await this.#pathOf(object)}?${query}`,
              object,
              'application/apply-patch+yaml',
            )
          } catch (cause) {
            mistakes.push({ place, object: describe(object), message: (cause as Error).message })
          }
        }),
      )
    }
    return mistakes
  }

  async remove(object: KubeObject): Promise<void> {
    try {
      await this.#client.request('DELETE', await this.#pathOf(object))
    } catch (cause) {
      if (!(cause instanceof ClientError && cause.status === 404)) throw cause
    }
  }
}

export interface FolderState {
  /** By identity: what was applied, and from which file. */
  readonly applied: ReadonlyMap<string, Loaded>
}

/** What to apply and what to delete now that a folder reads like this. A file with a mistake keeps its earlier objects. Pure. */
export function planChanges(
  before: FolderState,
  objects: readonly Loaded[],
  brokenFiles: ReadonlySet<string>,
): { apply: readonly Loaded[]; remove: readonly Loaded[] } {
  const now = new Set(objects.map((loaded) => identity(loaded.object)))
  const apply = objects.filter((loaded) => {
    const earlier = before.applied.get(identity(loaded.object))
    return !earlier || JSON.stringify(earlier.object) !== JSON.stringify(loaded.object)
  })
  const remove = [...before.applied]
    .filter(([key, loaded]) => !now.has(key) && !brokenFiles.has(loaded.place.file))
    .map(([, loaded]) => loaded)
  return { apply, remove }
}
