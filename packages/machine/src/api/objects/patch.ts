// JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch. All return a new value.
import jsonPatch from 'fast-json-patch'
import { ApiError, badRequest } from './errors.ts'
import { clone, equalJson, isMap, type JsonMap } from './object.ts'
import type { Schema } from './schema.ts'

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations')
  try {
    return jsonPatch.applyPatch(clone(target), clone(patch), true).newDocument
  } catch (cause) {
    const message = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause)
    throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${message}`)
  }
}

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return clone(patch)
  const result: JsonMap = isMap(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = applyMergePatch(result[key], value)
  }
  return result
}

/** Strategic merge patch; `schema` gives the merge keys (x-kubernetes-list-map-keys, the first key counts). */
export function applyStrategicPatch(target: unknown, patch: unknown, schema: Schema): unknown {
  if (!isMap(patch)) return clone(patch)
  return mergeMaps(isMap(target) ? target : {}, patch, schema)
}

function mergeMaps(target: JsonMap, patch: JsonMap, schema: Schema): JsonMap {
  const { $patch: directive, $retainKeys: retained, ...rest } = patch
  if (directive === 'replace') return withoutDirectives(rest) as JsonMap
  if (directive === 'delete') return {}
  let result: JsonMap = { ...target }
  if (Array.isArray(retained)) {
    result = Object.fromEntries(Object.entries(result).filter(([key]) => retained.includes(key)))
  }
  for (const [key, value] of Object.entries(rest)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice('$deleteFromPrimitiveList/'.length)
      const current = result[field]
      if (Array.isArray(current) && Array.isArray(value))
        result[field] = current.filter((item) => !value.includes(item))
    } else if (key.startsWith('$setElementOrder/')) {
      // Handled below, when the lists are merged.
    } else if (value === null) delete result[key]
    else result[key] = mergeField(result[key], value, childSchema(schema, key))
  }
  for (const [key, order] of Object.entries(rest)) {
    if (!key.startsWith('$setElementOrder/') || !Array.isArray(order)) continue
    const field = key.slice('$setElementOrder/'.length)
    const current = result[field]
    const mergeKey = childSchema(schema, field)['x-kubernetes-list-map-keys']?.[0]
    if (Array.isArray(current)) result[field] = ordered(current, order, mergeKey)
  }
  return result
}

function mergeField(target: unknown, value: unknown, schema: Schema): unknown {
  if (isMap(value)) {
    if (schema['x-kubernetes-map-type'] === 'atomic' && isMap(target) && value.$patch === undefined)
      return mergeMaps(target, value, {})
    return mergeMaps(isMap(target) ? target : {}, value, schema)
  }
  if (!Array.isArray(value)) return value
  const mergeKey = schema['x-kubernetes-list-map-keys']?.[0]
  const current = Array.isArray(target) ? target : []
  if (mergeKey !== undefined) return mergeLists(current, value, mergeKey, schema.items ?? {})
  if (schema['x-kubernetes-list-type'] === 'set') {
    return [...current, ...value.filter((item) => !current.some((other) => equalJson(item, other)))]
  }
  return withoutDirectives(value)
}

function mergeLists(target: readonly unknown[], patch: readonly unknown[], mergeKey: string, items: Schema): unknown[] {
  if (patch.some((item) => isMap(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isMap(item) && item.$patch === 'replace')).map(withoutDirectives)
  }
  let result = [...target]
  for (const item of patch) {
    if (!isMap(item)) continue
    const same = (other: unknown): boolean => isMap(other) && equalJson(other[mergeKey], item[mergeKey])
    if (item.$patch === 'delete') {
      result = result.filter((other) => !same(other))
      continue
    }
    const at = result.findIndex(same)
    if (at < 0) result.push(withoutDirectives(item))
    else result[at] = mergeMaps(result[at] as JsonMap, item, items)
  }
  return result
}

/** The patch's order first for the elements it names; elements that only the server has keep their place relative to others. */
function ordered(list: readonly unknown[], order: readonly unknown[], mergeKey: string | undefined): unknown[] {
  const identity = (item: unknown): string =>
    JSON.stringify(mergeKey !== undefined && isMap(item) ? item[mergeKey] : item)
  const rank = new Map(order.map((item, index) => [identity(item), index]))
  const named = list.filter((item) => rank.has(identity(item)))
  named.sort((a, b) => rank.get(identity(a))! - rank.get(identity(b))!)
  let next = 0
  return list.map((item) => (rank.has(identity(item)) ? named[next++] : item))
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.filter((item) => !(isMap(item) && item.$patch === 'delete')).map(withoutDirectives)
  }
  if (!isMap(value)) return value
  const result: JsonMap = {}
  for (const [key, inner] of Object.entries(value)) {
    if (
      key === '$patch' ||
      key === '$retainKeys' ||
      key.startsWith('$setElementOrder/') ||
      key.startsWith('$deleteFrom')
    )
      continue
    if (inner !== null) result[key] = withoutDirectives(inner)
  }
  return result
}

export function childSchema(schema: Schema, key: string): Schema {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, key)) return schema.properties[key]!
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {}
}
