// CustomResourceDefinitions: their own checks and status, and the kinds they bring. Definitions take effect at once.
import type { Api } from '../objects/api.ts'
import { builtinSchema } from '../objects/builtin-schemas.ts'
import { invalid, type StatusCause } from '../objects/errors.ts'
import { isMap, type JsonMap, type KubeObject, listAt, timestamp } from '../objects/object.ts'
import type { PrinterColumn, Resource } from '../objects/resources.ts'
import { hasCelRules, type Schema } from '../objects/schema.ts'

export const definitionsKey = 'apiextensions.k8s.io/customresourcedefinitions'

interface DefinitionVersion {
  readonly name: string
  readonly served: boolean
  readonly storage: boolean
  readonly schema?: { readonly openAPIV3Schema?: Schema }
  readonly subresources?: { readonly status?: unknown; readonly scale?: unknown }
  readonly additionalPrinterColumns?: readonly PrinterColumn[]
}

interface DefinitionSpec {
  readonly group: string
  readonly scope: string
  readonly names: {
    readonly plural: string
    readonly singular?: string
    readonly kind: string
    readonly listKind?: string
    readonly shortNames?: readonly string[]
    readonly categories?: readonly string[]
  }
  readonly versions: readonly DefinitionVersion[]
}

function specOf(object: KubeObject | JsonMap): DefinitionSpec {
  return (object as unknown as { spec: DefinitionSpec }).spec
}

export function startCustomResources(api: Api, log: (line: string) => void): void {
  let celSaid = false
  api.admit(definitionsKey, (object, _before, options) => {
    checkDefinition(object)
    complete(object)
    if (!celSaid && specOf(object).versions.some((version) => hasCelRules(schemaOf(version)))) {
      celSaid = true
      const text = 'CEL rules (x-kubernetes-validations) of CustomResourceDefinitions are not checked on this machine'
      log(text)
      options.warn?.(text)
    }
  })
  api.watch(definitionsKey, ({ type, object, previous }) => {
    if (previous !== undefined) unregister(api, previous)
    if (type === 'DELETED') removeInstances(api, object)
    else register(api, object)
  })
}

function checkDefinition(object: JsonMap): void {
  const { group, names, scope, versions } = specOf(object)
  const causes: StatusCause[] = []
  const name = String((object.metadata as JsonMap).name)
  const problem = (field: string, message: string): void => {
    causes.push({ reason: 'FieldValueInvalid', field, message })
  }
  if (name !== `${names.plural}.${group}`)
    problem('metadata.name', `Invalid value: "${name}": must be spec.names.plural+"."+spec.group`)
  if (scope !== 'Namespaced' && scope !== 'Cluster')
    problem('spec.scope', `Unsupported value: "${scope}": supported values: "Cluster", "Namespaced"`)
  if (versions.filter((version) => version.storage).length !== 1)
    problem('spec.versions', 'Invalid value: must have exactly one version marked as storage version')
  for (const [index, version] of versions.entries()) {
    if (version.schema?.openAPIV3Schema === undefined)
      problem(`spec.versions[${index}].schema.openAPIV3Schema`, 'Required value: schemas are required')
  }
  if (causes.length > 0) throw invalid('apiextensions.k8s.io', 'CustomResourceDefinition', name, causes)
}

/** Fills what Kubernetes fills: names, and the status that says that the kind is served. */
function complete(object: JsonMap): void {
  const spec = object.spec as {
    names: JsonMap
    versions: readonly { name: string; storage: boolean }[]
    conversion?: unknown
  }
  spec.names.singular ??= String(spec.names.kind).toLowerCase()
  spec.names.listKind ??= `${String(spec.names.kind)}List`
  spec.conversion ??= { strategy: 'None' }
  const before = listAt(object, 'status', 'conditions').filter(isMap)
  const condition = (type: string, reason: string, message: string): JsonMap =>
    before.find((known) => known.type === type) ?? {
      type,
      status: 'True',
      reason,
      message,
      lastTransitionTime: timestamp(),
    }
  object.status = {
    acceptedNames: spec.names,
    storedVersions: spec.versions.filter((version) => version.storage).map((version) => version.name),
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
  }
}

function schemaOf(version: DefinitionVersion): Schema {
  const schema = version.schema?.openAPIV3Schema ?? { 'x-kubernetes-preserve-unknown-fields': true }
  return {
    ...schema,
    type: 'object',
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: builtinSchema('V1ObjectMeta'),
    },
  }
}

function register(api: Api, definition: KubeObject): void {
  const { group, names, scope, versions } = specOf(definition)
  for (const version of versions) {
    if (!version.served) continue
    const resource: Resource = {
      group,
      version: version.name,
      kind: names.kind,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      namespaced: scope === 'Namespaced',
      status: version.subresources?.status !== undefined,
      scale: false,
      schema: schemaOf(version),
      custom: true,
      columns: version.additionalPrinterColumns ?? [],
      key: `${group}/${names.plural}`,
    }
    api.resources.add(resource)
  }
}

function unregister(api: Api, definition: KubeObject): void {
  const { group, names } = specOf(definition)
  api.resources.removeCustom(group, names.plural)
}

/** A definition takes its objects with it; finalizers can not hold what has no kind any more. */
function removeInstances(api: Api, definition: KubeObject): void {
  const { group, names } = specOf(definition)
  const key = `${group}/${names.plural}`
  for (const object of api.store.list(key)) api.store.remove(key, object.metadata.namespace, object.metadata.name)
}
