// Schemas of the built-in kinds, made on first use from gen/builtin-schemas.json, with the list keys that
// strategic merge and server-side apply need (Kubernetes keeps them in Go struct tags).
import { readFileSync } from 'node:fs'
import type { Schema } from './schema.ts'

interface TypeEntry {
  readonly f: Readonly<Record<string, string>>
  readonly r?: readonly string[]
}

const types = JSON.parse(readFileSync(new URL('../../gen/builtin-schemas.json', import.meta.url), 'utf8')) as Record<
  string,
  TypeEntry
>

/** `Type.field` → keys of the list map; the first is the merge key of strategic merge. */
const listKeys: Readonly<Record<string, readonly string[]>> = {
  'V1PodSpec.containers': ['name'],
  'V1PodSpec.initContainers': ['name'],
  'V1PodSpec.ephemeralContainers': ['name'],
  'V1PodSpec.volumes': ['name'],
  'V1PodSpec.imagePullSecrets': ['name'],
  'V1PodSpec.hostAliases': ['ip'],
  'V1PodSpec.topologySpreadConstraints': ['topologyKey', 'whenUnsatisfiable'],
  'V1PodSpec.resourceClaims': ['name'],
  'V1PodSpec.schedulingGates': ['name'],
  'V1Container.ports': ['containerPort', 'protocol'],
  'V1Container.env': ['name'],
  'V1Container.volumeMounts': ['mountPath'],
  'V1Container.volumeDevices': ['devicePath'],
  'V1PodStatus.conditions': ['type'],
  'V1PodStatus.podIPs': ['ip'],
  'V1PodStatus.hostIPs': ['ip'],
  'V1ServiceSpec.ports': ['port', 'protocol'],
  'V1ServiceStatus.conditions': ['type'],
  'V1ServiceAccount.secrets': ['name'],
  'V1ServiceAccount.imagePullSecrets': ['name'],
  'V1NamespaceStatus.conditions': ['type'],
  'V1NodeStatus.conditions': ['type'],
  'V1NodeStatus.addresses': ['type', 'address'],
  'V1DeploymentStatus.conditions': ['type'],
  'V1ReplicaSetStatus.conditions': ['type'],
  'V1StatefulSetStatus.conditions': ['type'],
  'V1DaemonSetStatus.conditions': ['type'],
  'V1CustomResourceDefinitionStatus.conditions': ['type'],
  'V1ObjectMeta.ownerReferences': ['uid'],
}

const sets = new Set(['V1ObjectMeta.finalizers', 'V1NodeSpec.podCIDRs'])

const atomicMaps = new Set(['V1LabelSelector', 'V1ObjectReference', 'V1LocalObjectReference', 'V1ObjectFieldSelector'])

/** Quantities may be written as numbers. */
const quantities = new Set([
  'limits',
  'requests',
  'capacity',
  'allocatable',
  'overhead',
  'sizeLimit',
  'divisor',
  'default',
  'defaultRequest',
])

const made = new Map<string, Schema>()
const names = new WeakMap<Schema, string>()

/** The name of a schema that `builtinSchema` made. */
export function builtinTypeName(schema: Schema): string | undefined {
  return names.get(schema)
}

/** The schema of a named type, e.g. `V1Pod`; the same object each time (types refer to each other). */
export function builtinSchema(type: string): Schema {
  const known = made.get(type)
  if (known !== undefined) return known
  const entry = types[type]
  if (entry === undefined) return { 'x-kubernetes-preserve-unknown-fields': true }
  const properties: Record<string, Schema> = {}
  const schema: Schema = {
    type: 'object',
    properties,
    ...(entry.r === undefined ? {} : { required: entry.r }),
    ...(atomicMaps.has(type) ? { 'x-kubernetes-map-type': 'atomic' } : {}),
  }
  made.set(type, schema)
  names.set(schema, type)
  for (const [field, fieldType] of Object.entries(entry.f)) {
    properties[field] = fieldSchema(`${type}.${field}`, field, fieldType)
  }
  return schema
}

function fieldSchema(path: string, field: string, type: string): Schema {
  const list = /^Array<(.*)>$/.exec(type)?.[1]
  if (list !== undefined) {
    const keys = listKeys[path]
    if (keys !== undefined)
      return {
        type: 'array',
        items: withKeyDefaults(fieldSchema('', '', list), keys),
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': keys,
      }
    return {
      type: 'array',
      items: fieldSchema('', '', list),
      'x-kubernetes-list-type': sets.has(path) ? 'set' : 'atomic',
    }
  }
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1]
  if (map !== undefined)
    return {
      type: 'object',
      additionalProperties: quantities.has(field) ? { 'x-kubernetes-int-or-string': true } : fieldSchema('', '', map),
      ...(path === 'V1ServiceSpec.selector' || path === 'V1PodSpec.nodeSelector'
        ? { 'x-kubernetes-map-type': 'atomic' }
        : {}),
    }
  switch (type) {
    case 'string':
      return quantities.has(field) ? { 'x-kubernetes-int-or-string': true } : { type: 'string' }
    case 'integer':
    case 'number':
    case 'boolean':
      return { type }
    case 'Date':
      return { type: 'string', format: 'date-time' }
    case 'IntOrString':
      return { 'x-kubernetes-int-or-string': true }
    default:
      return builtinSchema(type)
  }
}

function withKeyDefaults(items: Schema, keys: readonly string[]): Schema {
  if (!keys.includes('protocol') || items.properties === undefined) return items
  return { ...items, properties: { ...items.properties, protocol: { type: 'string', default: 'TCP' } } }
}
