// What kinds exist: built-in ones and those of CustomResourceDefinitions. Storage is by group and plural; the versions of one
// kind share it (conversion is by name only, as with strategy None).
import { builtinKinds } from './builtin-kinds.ts'
import { builtinSchema } from './builtin-schemas.ts'
import type { Schema } from './schema.ts'

export interface PrinterColumn {
  readonly name: string
  readonly type: string
  readonly jsonPath: string
  readonly description?: string
  readonly priority?: number
}

export interface Resource {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
  readonly status: boolean
  readonly scale: boolean
  readonly schema: Schema
  readonly custom: boolean
  readonly columns: readonly PrinterColumn[]
  /** Key of the storage: `group/plural`. */
  readonly key: string
}

export function apiVersionOf(resource: { readonly group: string; readonly version: string }): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

export function splitApiVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf('/')
  if (slash < 0) return { group: '', version: apiVersion }
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) }
}

export class ResourceTable {
  readonly #byPath = new Map<string, Resource>()
  readonly #byKind = new Map<string, Resource>()
  /** Versions of each group in order of preference. */
  readonly #versions = new Map<string, string[]>()

  constructor() {
    for (const kind of builtinKinds) {
      this.add({
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        shortNames: kind.shortNames ?? [],
        categories: kind.all === true ? ['all'] : [],
        namespaced: kind.namespaced,
        status: kind.status === true,
        scale: kind.scale === true,
        schema: builtinSchema(kind.type),
        custom: false,
        columns: [],
        key: `${kind.group}/${kind.plural}`,
      })
    }
  }

  add(resource: Resource): void {
    this.#byPath.set(`${resource.group}/${resource.version}/${resource.plural}`, resource)
    this.#byKind.set(`${resource.group}/${resource.version}/${resource.kind}`, resource)
    const versions = this.#versions.get(resource.group) ?? []
    if (!versions.includes(resource.version)) versions.push(resource.version)
    versions.sort(compareVersions)
    this.#versions.set(resource.group, versions)
  }

  /** Takes out every version of a custom kind. */
  removeCustom(group: string, plural: string): void {
    for (const [path, resource] of this.#byPath) {
      if (!resource.custom || resource.group !== group || resource.plural !== plural) continue
      this.#byPath.delete(path)
      this.#byKind.delete(`${resource.group}/${resource.version}/${resource.kind}`)
    }
    const left = [...this.#byPath.values()].filter((resource) => resource.group === group)
    if (left.length === 0) this.#versions.delete(group)
    else this.#versions.set(group, [...new Set(left.map((resource) => resource.version))].sort(compareVersions))
  }

  byPath(group: string, version: string, plural: string): Resource | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`)
  }

  byKind(apiVersion: string, kind: string): Resource | undefined {
    const { group, version } = splitApiVersion(apiVersion)
    return this.#byKind.get(`${group}/${version}/${kind}`)
  }

  /** The preferred version of a stored kind. */
  byKey(key: string): Resource | undefined {
    let best: Resource | undefined
    for (const resource of this.#byPath.values()) {
      if (resource.key === key && (best === undefined || compareVersions(resource.version, best.version) < 0))
        best = resource
    }
    return best
  }

  all(): readonly Resource[] {
    return [...this.#byPath.values()]
  }

  groups(): ReadonlyMap<string, readonly string[]> {
    return this.#versions
  }
}

/** Kubernetes' order of versions: GA, beta, alpha; the higher number first. */
export function compareVersions(a: string, b: string): number {
  const rank = (text: string): readonly [number, number, number] => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text)
    if (match === null) return [0, 0, 0]
    return [match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1, Number(match[1]), Number(match[3] ?? 0)]
  }
  const left = rank(a)
  const right = rank(b)
  return right[0] - left[0] || right[1] - left[1] || right[2] - left[2] || (a < b ? -1 : a > b ? 1 : 0)
}
