// Rules that hold for objects of every kind: versions, names, metadata that clients can not set, unknown fields.
import { badRequest, invalid, type StatusCause } from './errors.ts'
import { equalJson, isMap, type JsonMap, type KubeObject, type ObjectMeta } from './object.ts'
import type { WriteOptions } from './options.ts'
import { apiVersionOf, type Resource } from './resources.ts'

/** The object as a version of its kind shows it. */
export function atVersion(object: KubeObject, resource: Resource): KubeObject {
  const apiVersion = apiVersionOf(resource)
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion }
}

export function asObject(map: JsonMap): KubeObject {
  return map as unknown as KubeObject
}

/** Kubernetes decodes null as absent: everywhere in built-in kinds, in custom ones where the server knows the fields. */
export function dropNulls(value: JsonMap, custom: boolean): void {
  for (const [key, inner] of Object.entries(value)) {
    if (inner === null) delete value[key]
    else if (!custom || key === 'metadata') dropNullsBelow(inner)
  }
}

function dropNullsBelow(value: unknown): void {
  if (Array.isArray(value)) for (const item of value) dropNullsBelow(item)
  else if (isMap(value)) dropNulls(value, false)
}

export function reportUnknown(resource: Resource, unknown: readonly string[], options: WriteOptions): void {
  const text = unknown.map((path) => `unknown field "${path}"`)
  if (options.fieldValidation === 'Strict') {
    throw badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${text.join(', ')}`,
    )
  }
  if (options.fieldValidation !== 'Ignore') for (const line of text) options.warn?.(line)
}

export function keptMetadata(before: ObjectMeta, given: JsonMap): JsonMap {
  const { managedFields: _ignored, ...rest } = given
  const kept: JsonMap = {
    ...rest,
    name: before.name,
    uid: before.uid,
    resourceVersion: before.resourceVersion,
    creationTimestamp: before.creationTimestamp,
  }
  for (const field of [
    'generation',
    'namespace',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ] as const) {
    if (before[field] === undefined) delete kept[field]
    else kept[field] = before[field]
  }
  return kept
}

export function changesSpec(before: JsonMap, after: JsonMap): boolean {
  const relevant = (object: JsonMap): JsonMap => {
    const { metadata: _m, status: _s, ...rest } = object
    return rest
  }
  return !equalJson(relevant(before), relevant(after))
}

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

export function checkName(resource: Resource, metadata: ObjectMeta): void {
  const causes: StatusCause[] = []
  const strict = resource.key === '/namespaces' || resource.key === '/services'
  const path = resource.group === 'rbac.authorization.k8s.io'
  const fits = path
    ? !/[/%]/.test(metadata.name)
    : strict
      ? label.test(metadata.name) && metadata.name.length <= 63
      : subdomain.test(metadata.name) && metadata.name.length <= 253
  if (!fits) {
    causes.push({
      reason: 'FieldValueInvalid',
      message: `Invalid value: ${JSON.stringify(metadata.name)}: a lowercase RFC ${strict ? '1123 label' : '1123 subdomain'} must consist of lower case alphanumeric characters, '-'${strict ? '' : " or '.'"}, and must start and end with an alphanumeric character`,
      field: 'metadata.name',
    })
  }
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (typeof value === 'string' && !/^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/.test(value)) {
      causes.push({
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${JSON.stringify(value)}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'`,
        field: `metadata.labels[${key}]`,
      })
    }
  }
  if (causes.length > 0) throw invalid(resource.group, resource.kind, metadata.name, causes)
}
