// What changed between two maps of resources, and how names asked for on demand lead to resources. Both answers are
// functions of maps that never change, and are remembered for them: a thousand clients at the same state share one diff.
import type { ResourceMap, VersionedResource } from './types.ts'

/** Names with the versions that a client holds: a ResourceMap, or what a client said at the start of a stream. */
export type Known = ReadonlyMap<string, { readonly version: string; readonly shared?: boolean }>

export interface Diff {
  readonly updated: readonly string[]
  readonly removed: readonly string[]
}

const nothing: Diff = { updated: [], removed: [] }
const diffs = new WeakMap<Known, { readonly to: WeakRef<ResourceMap>; readonly diff: Diff }>()

/** Names in `to` that are new or have another version than in `from`, and names of `from` that are not in `to`. */
export function diffOf(from: Known, to: ResourceMap): Diff {
  if (from === to) return nothing
  const remembered = diffs.get(from)
  if (remembered?.to.deref() === to) return remembered.diff
  const updated: string[] = []
  const removed: string[] = []
  for (const [name, resource] of to) if (from.get(name)?.version !== resource.version) updated.push(name)
  for (const name of from.keys()) if (!to.has(name)) removed.push(name)
  const diff = { updated, removed }
  diffs.set(from, { to: new WeakRef(to), diff })
  return diff
}

interface NameIndex {
  readonly byAlias: ReadonlyMap<string, string>
  readonly byGroup: ReadonlyMap<string, readonly string[]>
}

const indexes = new WeakMap<ResourceMap, NameIndex>()

/**
 * The names of all resources that answer one requested name: the resource of that name or alias, and with it the
 * members of the group that bears its name. Empty when the name is not known.
 */
export function resolveName(resources: ResourceMap, requested: string): readonly string[] {
  const { byAlias, byGroup } = indexOf(resources)
  const name = resources.has(requested) ? requested : byAlias.get(requested)
  if (name === undefined) return []
  const members = byGroup.get(name)
  return members === undefined ? [name] : [name, ...members]
}

/** The names of a group's members, such as the workloads of `node:<node>`. */
export function membersOf(resources: ResourceMap, group: string): readonly string[] {
  return indexOf(resources).byGroup.get(group) ?? []
}

function indexOf(resources: ResourceMap): NameIndex {
  let index = indexes.get(resources)
  if (index === undefined) {
    index = buildIndex(resources)
    indexes.set(resources, index)
  }
  return index
}

function buildIndex(resources: ReadonlyMap<string, VersionedResource>): NameIndex {
  const byAlias = new Map<string, string>()
  const byGroup = new Map<string, string[]>()
  for (const [name, resource] of resources) {
    for (const alias of resource.aliases) {
      // Two resources may claim an address: the same one must win on every replica, and a Pod before the others.
      const other = byAlias.get(alias)
      if (other === undefined || precedes(name, other)) byAlias.set(alias, name)
    }
    for (const group of resource.groups ?? []) {
      const members = byGroup.get(group)
      if (members === undefined) byGroup.set(group, [name])
      else members.push(name)
    }
  }
  return { byAlias, byGroup }
}

function precedes(a: string, b: string): boolean {
  const aIsPod = a.includes('//Pod/')
  if (aIsPod !== b.includes('//Pod/')) return aIsPod
  return a < b
}
