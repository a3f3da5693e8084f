// Field ownership (managedFields) and server-side apply. A field set is a tree whose keys are FieldsV1 path elements
// (`f:name`, `k:{"name":"a"}`, `v:"x"`) and in which `.` marks the element itself.
import { conflict, type StatusCause } from './errors.ts'
import { equalJson, isMap, type JsonMap, type KubeObject, type ManagedFieldsEntry, timestamp } from './object.ts'
import { childSchema } from './patch.ts'
import type { Resource } from './resources.ts'
import type { Schema } from './schema.ts'

export type FieldSet = { [element: string]: FieldSet }

const empty = (set: FieldSet): boolean => Object.keys(set).length === 0

const metadataSchema: Schema = {
  properties: {
    finalizers: { 'x-kubernetes-list-type': 'set' },
    ownerReferences: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['uid'] },
  },
}

/** Metadata that no manager owns. */
const unownedMetadata = new Set([
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'managedFields',
  'selfLink',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generateName',
])

export function schemaForOwnership(resource: Resource): Schema {
  return { ...resource.schema, properties: { ...resource.schema.properties, metadata: metadataSchema } }
}

function owned(object: unknown): JsonMap {
  const { apiVersion: _a, kind: _k, metadata, ...rest } = isMap(object) ? object : {}
  const kept = Object.entries(isMap(metadata) ? metadata : {}).filter(([key]) => !unownedMetadata.has(key))
  return kept.length === 0 ? rest : { ...rest, metadata: Object.fromEntries(kept) }
}

/** All fields that an object sets. */
export function fieldSetOf(object: unknown, schema: Schema): FieldSet {
  return setOf(owned(object), schema)
}

function setOf(value: JsonMap, schema: Schema): FieldSet {
  const set: FieldSet = {}
  for (const [key, inner] of Object.entries(value)) {
    if (inner !== undefined) set[`f:${key}`] = setOfValue(inner, childSchema(schema, key))
  }
  return set
}

function setOfValue(value: unknown, schema: Schema): FieldSet {
  if (isMap(value) && schema['x-kubernetes-map-type'] !== 'atomic') {
    const set = setOf(value, schema)
    // A map that has children is owned through them; `.` would make its removal a conflict.
    return set
  }
  const elements = listElements(value, schema)
  if (elements === undefined) return {}
  const set: FieldSet = {}
  for (const { element, item } of elements) {
    set[element] = isMap(item) && element.startsWith('k:') ? { '.': {}, ...setOf(item, schema.items ?? {}) } : {}
  }
  return set
}

interface ListElement {
  readonly element: string
  readonly item: unknown
}

/** The elements of an associative list or set; undefined for atomic values. */
function listElements(value: unknown, schema: Schema): readonly ListElement[] | undefined {
  if (!Array.isArray(value)) return undefined
  const keys = schema['x-kubernetes-list-map-keys']
  if (schema['x-kubernetes-list-type'] === 'map' && keys !== undefined) {
    return value.map((item) => ({ element: `k:${keyText(item, keys, schema)}`, item }))
  }
  if (schema['x-kubernetes-list-type'] === 'set') {
    return value.map((item) => ({ element: `v:${JSON.stringify(item)}`, item }))
  }
  return undefined
}

function keyText(item: unknown, keys: readonly string[], schema: Schema): string {
  const identity: JsonMap = {}
  for (const key of [...keys].sort()) {
    const value = isMap(item) ? (item[key] ?? schema.items?.properties?.[key]?.default) : undefined
    if (value !== undefined) identity[key] = value
  }
  return JSON.stringify(identity)
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = { ...a }
  for (const [key, inner] of Object.entries(b)) result[key] = key in result ? union(result[key]!, inner) : inner
  return result
}

/**
 * Elements of `a` that are not in `b`; an inner node goes when nothing below it is left. Who owns an empty map (`{}`) does not
 * own what others put into it.
 */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = {}
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key]
    if (other === undefined) result[key] = inner
    else if (!empty(inner)) {
      const left = difference(inner, other)
      if (!empty(left)) result[key] = left
    }
  }
  return result
}

/** Fields whose values differ between two objects, among those present in `after`, and those that are gone. */
export function changedFields(
  before: unknown,
  after: unknown,
  schema: Schema,
): { readonly changed: FieldSet; readonly removed: FieldSet } {
  const was = fieldSetOf(before, schema)
  const is = fieldSetOf(after, schema)
  return { changed: changedIn(owned(before), owned(after), is, schema), removed: difference(was, is) }
}

function changedIn(before: JsonMap, after: JsonMap, set: FieldSet, schema: Schema): FieldSet {
  const result: FieldSet = {}
  for (const [element, inner] of Object.entries(set)) {
    if (!element.startsWith('f:')) continue
    const key = element.slice(2)
    const child = childSchema(schema, key)
    const found = changedValue(before[key], after[key], inner, child)
    if (found !== undefined) result[element] = found
  }
  return result
}

function changedValue(before: unknown, after: unknown, set: FieldSet, schema: Schema): FieldSet | undefined {
  if (equalJson(before, after)) return undefined
  if (before === undefined) return set
  if (isMap(after) && isMap(before) && schema['x-kubernetes-map-type'] !== 'atomic') {
    const inner = changedIn(before, after, set, schema)
    return Object.keys(inner).length > 0 ? inner : undefined
  }
  const elements = listElements(after, schema)
  if (elements === undefined) return {}
  const old = new Map((listElements(before, schema) ?? []).map(({ element, item }) => [element, item]))
  const result: FieldSet = {}
  for (const { element, item } of elements) {
    const found = changedValue(old.get(element), item, set[element] ?? {}, schema.items ?? {})
    if (found !== undefined) result[element] = found
  }
  return Object.keys(result).length > 0 ? result : undefined
}

/** The leaves of a set as paths for messages: `.spec.replicas`, `.spec.containers[name="a"].image`. */
export function leafPaths(set: FieldSet, path = ''): readonly string[] {
  const keys = Object.keys(set).filter((key) => key !== '.')
  if (keys.length === 0) return path === '' ? [] : [path]
  return keys.flatMap((key) => leafPaths(set[key]!, `${path}${elementText(key)}`))
}

function elementText(element: string): string {
  if (element.startsWith('f:')) return `.${element.slice(2)}`
  if (element.startsWith('v:')) return `[=${element.slice(2)}]`
  const keys = Object.entries(JSON.parse(element.slice(2)) as JsonMap)
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`
}

/** Fields in both sets (leaves of `a` that `b` owns). */
function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = {}
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key]
    if (other === undefined || key === '.') continue
    if (Object.keys(inner).length === 0 || Object.keys(other).length === 0) result[key] = {}
    else {
      const both = intersection(inner, other)
      if (Object.keys(both).length > 0) result[key] = both
    }
  }
  return result
}

export interface Manager {
  readonly name: string
  readonly subresource?: string
}

function entryOf(
  manager: Manager,
  operation: 'Apply' | 'Update',
  apiVersion: string,
  set: FieldSet,
): ManagedFieldsEntry {
  return {
    manager: manager.name,
    operation,
    apiVersion,
    time: timestamp(),
    fieldsType: 'FieldsV1',
    fieldsV1: set,
    ...(manager.subresource === undefined || manager.subresource === '' ? {} : { subresource: manager.subresource }),
  }
}

function isOf(entry: ManagedFieldsEntry, manager: Manager, operation: string): boolean {
  return (
    entry.manager === manager.name &&
    entry.operation === operation &&
    (entry.subresource ?? '') === (manager.subresource ?? '')
  )
}

/** managedFields after a create, update or patch by `manager`. */
export function ownAfterUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  manager: Manager,
  schema: Schema,
): readonly ManagedFieldsEntry[] {
  const entries = before?.metadata.managedFields ?? []
  const { changed, removed } = changedFields(before ?? {}, after, schema)
  if (empty(changed) && empty(removed)) return entries
  const result: ManagedFieldsEntry[] = []
  let own: FieldSet = changed
  for (const entry of entries) {
    const set = difference(entry.fieldsV1 as FieldSet, removed)
    if (isOf(entry, manager, 'Update')) own = union(set, changed)
    else {
      const left = difference(set, changed)
      if (!empty(left)) result.push({ ...entry, fieldsV1: left })
    }
  }
  return empty(own) ? result : [...result, entryOf(manager, 'Update', after.apiVersion, own)]
}

function stillOwns(kept: readonly ManagedFieldsEntry[]) {
  return (entry: ManagedFieldsEntry): boolean =>
    kept.some((other) => isOf(other, managerOf(entry), entry.operation) && other.apiVersion === entry.apiVersion)
}

function managerOf(entry: ManagedFieldsEntry): Manager {
  return { name: entry.manager, ...(entry.subresource === undefined ? {} : { subresource: entry.subresource }) }
}

export interface Applied {
  readonly object: JsonMap
  readonly managedFields: readonly ManagedFieldsEntry[]
}

/**
 * Server-side apply of `config` (the manager's whole intent) onto `live`.
 * Throws 409 with one cause per field that another manager owns with another value, unless `force`.
 */
export function serverSideApply(
  live: KubeObject | undefined,
  config: JsonMap,
  options: { readonly manager: Manager; readonly force: boolean; readonly resource: Resource },
): Applied {
  const { manager, force, resource } = options
  const schema = schemaForOwnership(resource)
  const intent = fieldSetOf(config, schema)
  const entries = live?.metadata.managedFields ?? []
  const others = entries.filter((entry) => !isOf(entry, manager, 'Apply'))
  const mine = entries.find((entry) => isOf(entry, manager, 'Apply'))
  const differing = live === undefined ? {} : changedIn(owned(live), owned(config), intent, schema)
  const causes: StatusCause[] = []
  const kept: ManagedFieldsEntry[] = []
  for (const entry of others) {
    const clash = intersection(differing, entry.fieldsV1 as FieldSet)
    if (!empty(clash) && !force) {
      for (const path of leafPaths(clash))
        causes.push({
          reason: 'FieldManagerConflict',
          message: `conflict with "${entry.manager}"${entry.operation === 'Update' ? ` using ${entry.apiVersion}` : ''}`,
          field: path,
        })
    }
    const left = difference(entry.fieldsV1 as FieldSet, clash)
    if (!empty(left)) kept.push({ ...entry, fieldsV1: left })
  }
  if (causes.length > 0) {
    const text = causes.map((cause) => `${cause.message}: ${cause.field}`).join('\n')
    throw conflict(
      resource,
      live!.metadata.name,
      `Apply failed with ${causes.length} conflict${causes.length > 1 ? 's' : ''}: ${text}`,
      causes,
    )
  }
  let base = mergeMap(isMap(live) ? (live as unknown as JsonMap) : {}, config, schema)
  if (mine !== undefined) {
    let gone = difference(mine.fieldsV1 as FieldSet, intent)
    for (const entry of kept) gone = difference(gone, entry.fieldsV1 as FieldSet)
    base = removeFields(base, gone, schema) as JsonMap
  }
  const own =
    mine !== undefined && equalJson(mine.fieldsV1, intent)
      ? { ...mine }
      : entryOf(manager, 'Apply', String(config.apiVersion), intent)
  // An apply that changes nothing must leave the order of the entries too.
  const at = mine === undefined ? kept.length : entries.slice(0, entries.indexOf(mine)).filter(stillOwns(kept)).length
  return { object: base, managedFields: empty(intent) ? kept : kept.toSpliced(at, 0, own) }
}

function mergeMap(live: JsonMap, config: JsonMap, schema: Schema): JsonMap {
  const result: JsonMap = { ...live }
  for (const [key, value] of Object.entries(config)) {
    if (value === undefined) continue
    result[key] = mergeValue(live[key], value, childSchema(schema, key))
  }
  return result
}

function mergeValue(live: unknown, config: unknown, schema: Schema): unknown {
  if (isMap(config) && isMap(live) && schema['x-kubernetes-map-type'] !== 'atomic')
    return mergeMap(live, config, schema)
  const wanted = listElements(config, schema)
  const current = listElements(live, schema)
  if (wanted === undefined || current === undefined) return config
  const existing = new Map(current.map(({ element, item }) => [element, item]))
  const merged = new Map(
    wanted.map(({ element, item }) => [
      element,
      existing.has(element) ? mergeValue(existing.get(element), item, schema.items ?? {}) : item,
    ]),
  )
  // Elements of others keep their places; without any, the order is the manager's.
  if (current.every(({ element }) => merged.has(element))) return [...merged.values()]
  const kept = current.map(({ element, item }) => merged.get(element) ?? item)
  return [...kept, ...wanted.filter(({ element }) => !existing.has(element)).map(({ item }) => item)]
}

/** `value` without the fields of the set; maps and elements that become empty go too when the set names them. */
function removeFields(value: unknown, set: FieldSet, schema: Schema): unknown {
  if (Array.isArray(value)) {
    const elements = listElements(value, schema)
    if (elements === undefined) return value
    return elements.flatMap(({ element, item }) => {
      const inner = set[element]
      if (inner === undefined) return [item]
      if (empty(inner) || '.' in inner) return []
      return [removeFields(item, inner, schema.items ?? {})]
    })
  }
  if (!isMap(value)) return value
  const result: JsonMap = { ...value }
  for (const [element, inner] of Object.entries(set)) {
    const key = element.slice(2)
    if (!element.startsWith('f:') || result[key] === undefined) continue
    if (empty(inner)) delete result[key]
    else {
      const left = removeFields(result[key], inner, childSchema(schema, key))
      if ((isMap(left) && Object.keys(left).length === 0) || (Array.isArray(left) && left.length === 0))
        delete result[key]
      else result[key] = left
    }
  }
  return result
}
