// Whether an object already has everything that another one asks for.

/**
 * True if every member of `wanted` is in `live` with the same value; what only `live` has (defaults, other managers' fields)
 * does not count. Lists of the same length are compared entry by entry.
 */
export function contains(live: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return live === wanted
  if (typeof live !== 'object' || live === null) return isEmpty(wanted)
  if (Array.isArray(wanted)) {
    return Array.isArray(live) && live.length === wanted.length && wanted.every((item, i) => contains(live[i], item))
  }
  return Object.entries(wanted).every(
    ([name, value]) => value === undefined || contains((live as Record<string, unknown>)[name], value),
  )
}

/** The API drops empty lists and objects. */
function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0
}
