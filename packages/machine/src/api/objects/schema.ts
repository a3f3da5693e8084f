// Structural schemas: validation, pruning of unknown fields and defaults. The subset of OpenAPI v3 that a
// CustomResourceDefinition may use; CEL rules (x-kubernetes-validations) are not evaluated.
import type { StatusCause } from './errors.ts'
import { clone, isMap, type JsonMap } from './object.ts'

export interface Schema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly required?: readonly string[]
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: boolean
  readonly exclusiveMaximum?: boolean
  readonly multipleOf?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly nullable?: boolean
  readonly default?: unknown
  readonly allOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly not?: Schema
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-embedded-resource'?: boolean
  readonly 'x-kubernetes-list-type'?: string
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-map-type'?: string
  readonly 'x-kubernetes-validations'?: readonly unknown[]
}

/** Fields of `value` that the schema does not know, as paths such as `spec.rules[0].foo`; they are taken out of `value`. */
export function prune(value: unknown, schema: Schema, path = ''): readonly string[] {
  const unknown: string[] = []
  pruneInto(value, schema, path, unknown)
  return unknown
}

function pruneInto(value: unknown, schema: Schema, path: string, unknown: string[]): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) {
      for (const [index, item] of value.entries()) pruneInto(item, schema.items, `${path}[${index}]`, unknown)
    }
    return
  }
  if (!isMap(value)) return
  const keepUnknown =
    schema['x-kubernetes-preserve-unknown-fields'] === true ||
    schema.additionalProperties === true ||
    (schema.type === undefined && schema.properties === undefined && schema.additionalProperties === undefined)
  const additional = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined
  for (const key of Object.keys(value)) {
    const inner = path === '' ? key : `${path}.${key}`
    const property = ownProperty(schema, key)
    if (property !== undefined) pruneInto(value[key], property, inner, unknown)
    else if (additional !== undefined) pruneInto(value[key], additional, inner, unknown)
    else if (schema['x-kubernetes-embedded-resource'] === true && ['apiVersion', 'kind', 'metadata'].includes(key)) {
      // Every embedded resource has them.
    } else if (!keepUnknown) {
      unknown.push(inner)
      delete value[key]
    }
  }
}

function ownProperty(schema: Schema, key: string): Schema | undefined {
  return schema.properties !== undefined && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined
}

/** Fills defaults in place; a null where a default exists and null is not allowed becomes the default, as upstream. */
export function applyDefaults(value: unknown, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) for (const item of value) applyDefaults(item, schema.items)
    return
  }
  if (!isMap(value)) return
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const missing = value[key] === undefined || (value[key] === null && property.nullable !== true)
    if (missing && property.default !== undefined) value[key] = clone(property.default)
    else if (missing && value[key] === null) delete value[key]
    if (value[key] !== undefined) applyDefaults(value[key], property)
  }
  if (typeof schema.additionalProperties === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      if (schema.properties?.[key] === undefined) applyDefaults(inner, schema.additionalProperties)
    }
  }
}

/** Problems of `value` against the schema, one cause per field. */
export function validate(value: unknown, schema: Schema, path = ''): readonly StatusCause[] {
  const causes: StatusCause[] = []
  check(value, schema, path, causes)
  return causes
}

/** As `validate`, for a part of an object: fields that are not there are no problem. */
export function validatePart(value: unknown, schema: Schema): readonly StatusCause[] {
  return validate(value, schema).filter((cause) => cause.reason !== 'FieldValueRequired')
}

function check(value: unknown, schema: Schema, path: string, causes: StatusCause[]): void {
  if (value === null || value === undefined) {
    if (value === null && schema.nullable !== true && schema.type !== undefined)
      typeProblem(value, schema, path, causes)
    return
  }
  if (!typeFits(value, schema)) {
    typeProblem(value, schema, path, causes)
    return
  }
  if (typeof value === 'string') checkString(value, schema, path, causes)
  else if (typeof value === 'number') checkNumber(value, schema, path, causes)
  else if (Array.isArray(value)) checkList(value, schema, path, causes)
  else if (isMap(value)) checkMap(value, schema, path, causes)
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    causes.push({
      reason: 'FieldValueNotSupported',
      message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${schema.enum.map((item) => JSON.stringify(item)).join(', ')}`,
      field: path,
    })
  }
  checkCombinations(value, schema, path, causes)
}

function typeFits(value: unknown, schema: Schema): boolean {
  if (schema['x-kubernetes-int-or-string'] === true) return typeof value === 'string' || Number.isInteger(value)
  switch (schema.type) {
    case undefined:
    case '':
      return true
    case 'object':
      return isMap(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return typeof value === 'number'
    default:
      return typeof value === schema.type
  }
}

function typeProblem(value: unknown, schema: Schema, path: string, causes: StatusCause[]): void {
  const shown = value === null ? 'null' : Array.isArray(value) ? 'array' : isMap(value) ? 'object' : typeof value
  const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer or string' : schema.type
  causes.push({
    reason: 'FieldValueTypeInvalid',
    message: `Invalid value: ${JSON.stringify(shown)}: ${path} in body must be of type ${wanted}: ${JSON.stringify(shown)}`,
    field: path,
  })
}

function problem(causes: StatusCause[], path: string, value: unknown, message: string): void {
  causes.push({
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${JSON.stringify(value)}: ${path} in body ${message}`,
    field: path,
  })
}

const patterns = new Map<string, RegExp | undefined>()

/** Go's regular expressions differ from ours in corners; a pattern that can not be compiled is not checked. */
function compiled(pattern: string): RegExp | undefined {
  if (!patterns.has(pattern)) {
    try {
      patterns.set(pattern, new RegExp(pattern, 'u'))
    } catch {
      patterns.set(pattern, undefined)
    }
  }
  return patterns.get(pattern)
}

function checkString(value: string, schema: Schema, path: string, causes: StatusCause[]): void {
  const length = [...value].length
  if (schema.minLength !== undefined && length < schema.minLength)
    problem(causes, path, value, `should be at least ${schema.minLength} chars long`)
  if (schema.maxLength !== undefined && length > schema.maxLength)
    problem(causes, path, value, `should be at most ${schema.maxLength} chars long`)
  if (schema.pattern !== undefined && compiled(schema.pattern)?.test(value) === false)
    problem(causes, path, value, `should match '${schema.pattern}'`)
  if (schema.format === 'date-time' && Number.isNaN(Date.parse(value)))
    problem(causes, path, value, `must be of type date-time: ${JSON.stringify(value)}`)
}

function checkNumber(value: number, schema: Schema, path: string, causes: StatusCause[]): void {
  const { minimum, maximum } = schema
  if (minimum !== undefined && (value < minimum || (schema.exclusiveMinimum === true && value === minimum)))
    problem(
      causes,
      path,
      value,
      `should be greater than ${schema.exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`,
    )
  if (maximum !== undefined && (value > maximum || (schema.exclusiveMaximum === true && value === maximum)))
    problem(
      causes,
      path,
      value,
      `should be less than ${schema.exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`,
    )
  if (schema.multipleOf !== undefined && value % schema.multipleOf !== 0)
    problem(causes, path, value, `should be a multiple of ${schema.multipleOf}`)
}

function checkList(value: readonly unknown[], schema: Schema, path: string, causes: StatusCause[]): void {
  if (schema.minItems !== undefined && value.length < schema.minItems)
    problem(causes, path, value.length, `should have at least ${schema.minItems} items`)
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    causes.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
      field: path,
    })
  checkDuplicates(value, schema, path, causes)
  if (schema.items !== undefined)
    for (const [index, item] of value.entries()) check(item, schema.items, `${path}[${index}]`, causes)
}

function checkDuplicates(value: readonly unknown[], schema: Schema, path: string, causes: StatusCause[]): void {
  const keys = schema['x-kubernetes-list-map-keys']
  if (keys === undefined && schema['x-kubernetes-list-type'] !== 'set' && schema.uniqueItems !== true) return
  const seen = new Set<string>()
  for (const [index, item] of value.entries()) {
    const identity = JSON.stringify(
      keys === undefined
        ? item
        : keys.map((key) => (isMap(item) ? (item[key] ?? schema.items?.properties?.[key]?.default) : undefined)),
    )
    if (seen.has(identity))
      causes.push({
        reason: 'FieldValueDuplicate',
        message: `Duplicate value: ${JSON.stringify(keys === undefined || !isMap(item) ? item : Object.fromEntries(keys.map((key) => [key, item[key]])))}`,
        field: `${path}[${index}]`,
      })
    seen.add(identity)
  }
}

function checkMap(value: JsonMap, schema: Schema, path: string, causes: StatusCause[]): void {
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`)
  for (const key of schema.required ?? []) {
    if (value[key] === undefined)
      causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: at(key) })
  }
  const count = Object.keys(value).length
  if (schema.minProperties !== undefined && count < schema.minProperties)
    problem(causes, path, count, `should have at least ${schema.minProperties} properties`)
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    problem(causes, path, count, `should have at most ${schema.maxProperties} properties`)
  for (const [key, inner] of Object.entries(value)) {
    const property = ownProperty(schema, key)
    if (property !== undefined) check(inner, property, at(key), causes)
    else if (typeof schema.additionalProperties === 'object') check(inner, schema.additionalProperties, at(key), causes)
  }
}

function checkCombinations(value: unknown, schema: Schema, path: string, causes: StatusCause[]): void {
  for (const inner of schema.allOf ?? []) check(value, inner, path, causes)
  if (schema['x-kubernetes-int-or-string'] === true) return
  if (schema.anyOf !== undefined && !schema.anyOf.some((inner) => validate(value, inner, path).length === 0))
    problem(causes, path, value, 'must validate at least one schema (anyOf)')
  if (
    schema.oneOf !== undefined &&
    schema.oneOf.filter((inner) => validate(value, inner, path).length === 0).length !== 1
  )
    problem(causes, path, value, 'must validate one and only one schema (oneOf)')
  if (schema.not !== undefined && validate(value, schema.not, path).length === 0)
    problem(causes, path, value, 'must not validate the schema (not)')
}

/** Whether the schema has CEL rules anywhere, which are not evaluated here. */
export function hasCelRules(schema: Schema): boolean {
  if ((schema['x-kubernetes-validations']?.length ?? 0) > 0) return true
  const inner = [
    ...Object.values(schema.properties ?? {}),
    ...(schema.items === undefined ? [] : [schema.items]),
    ...(typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : []),
  ]
  return inner.some(hasCelRules)
}
