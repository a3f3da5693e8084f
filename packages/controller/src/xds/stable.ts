// Equal results stop here: what did not change keeps the very same map, so that sessions see at once that they owe
// nothing (they compare by reference).
import type { Resource, ResourceScope, ResourceSet, Resources } from '../model/index.ts'

/** `next`, with every member of `previous` in its place that says the same. */
export function stableSet(previous: ResourceSet | undefined, next: ResourceSet): ResourceSet {
  if (previous === undefined) return next
  const ztunnel = stableResources(previous.ztunnel, next.ztunnel)
  const gateway = stableResources(previous.gateway, next.gateway)
  return { ztunnel, gateway, scopes: stableScopes(previous.scopes, next.scopes) }
}

export function stableResources(previous: Resources | undefined, next: Resources): Resources {
  if (previous === undefined) return next
  return stableMap(previous, next, (before, after) => stableMap(before, after, sameOrNext))
}

function sameOrNext(before: Resource, after: Resource): Resource {
  const same =
    before.version === after.version &&
    before.aliases.length === after.aliases.length &&
    before.aliases.every((alias, i) => alias === after.aliases[i]) &&
    before.groups?.join() === after.groups?.join()
  return same ? before : after
}

function stableScopes(previous: ResourceSet['scopes'], next: ResourceSet['scopes']): ResourceSet['scopes'] {
  return stableMap(previous, next, (before: ResourceScope, after: ResourceScope) => {
    const equal =
      before.serviceAccount === after.serviceAccount &&
      before.names.size === after.names.size &&
      [...after.names].every(([type, names]) => sameNames(before.names.get(type), names))
    return equal ? before : after
  })
}

function sameNames(before: ReadonlySet<string> | undefined, after: ReadonlySet<string>): boolean {
  return before !== undefined && before.size === after.size && [...after].every((name) => before.has(name))
}

function stableMap<K, V>(
  previous: ReadonlyMap<K, V>,
  next: ReadonlyMap<K, V>,
  choose: (before: V, after: V) => V,
): ReadonlyMap<K, V> {
  if (previous === next) return previous
  let same = previous.size === next.size
  const chosen = new Map<K, V>()
  for (const [key, after] of next) {
    const before = previous.get(key)
    const value = before === undefined ? after : choose(before, after)
    same &&= value === before
    chosen.set(key, value)
  }
  return same ? previous : chosen
}
