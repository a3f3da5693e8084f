// Kubernetes objects as plain data, and small helpers that every part of the machine uses. No behaviour of a kind lives here.
import { randomBytes } from 'node:crypto'
import type { ObjectMeta as CommonMeta, OwnerReference } from '@wishbone/runtime/kube'

export type JsonMap = { [field: string]: unknown }

export interface ManagedFieldsEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly time?: string
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: JsonMap
  readonly subresource?: string
}

/** With what only the server itself looks at. */
export interface ObjectMeta extends CommonMeta {
  readonly generateName?: string
  readonly deletionGracePeriodSeconds?: number
  readonly finalizers?: readonly string[]
  readonly managedFields?: readonly ManagedFieldsEntry[]
}

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

/** An object seen as a map of fields, for code that works on any kind. */
export function fields(object: KubeObject): JsonMap {
  return object as unknown as JsonMap
}

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function mapAt(value: unknown, ...path: readonly string[]): JsonMap | undefined {
  let at: unknown = value
  for (const key of path) {
    if (!isMap(at)) return undefined
    at = at[key]
  }
  return isMap(at) ? at : undefined
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const parent = path.length > 1 ? mapAt(value, ...path.slice(0, -1)) : isMap(value) ? value : undefined
  const list = parent?.[path.at(-1)!]
  return Array.isArray(list) ? list : []
}

export function clone<T>(value: T): T {
  return structuredClone(value)
}

export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!equalJson(a[index], b[index])) return false
    return true
  }
  if (!isMap(a) || !isMap(b)) return false
  const keys = Object.keys(a).filter((key) => a[key] !== undefined)
  if (keys.length !== Object.keys(b).filter((key) => b[key] !== undefined).length) return false
  for (const key of keys) if (!equalJson(a[key], b[key])) return false
  return true
}

/** Objects in the store are shared by readers, so they can not be changed. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}

/** Kubernetes' form of a time: RFC 3339 without fractions. */
export function timestamp(ms: number = Date.now()): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789'

/** A random name suffix of Kubernetes' alphabet. */
export function randomSuffix(length = 5): string {
  return [...randomBytes(length)].map((byte) => suffixAlphabet[byte % suffixAlphabet.length]).join('')
}

/** By which an object is known among those of its kind. */
export function keyOf({ metadata }: KubeObject): string {
  return namedKey(metadata.namespace, metadata.name)
}

export function namedKey(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`
}

export function splitKey(key: string): readonly [namespace: string, name: string] {
  const slash = key.indexOf('/')
  return [key.slice(0, slash), key.slice(slash + 1)]
}

/** The reference of a controller's child to its owner. */
export function controllerReference(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid!,
    controller: true,
    blockOwnerDeletion: true,
  }
}
