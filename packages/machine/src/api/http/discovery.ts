// Discovery: which groups, versions and kinds exist, and a minimal OpenAPI v3 that lets kubectl validate, merge and explain.
import { reviewKinds } from '../objects/builtin-kinds.ts'
import { builtinTypeName } from '../objects/builtin-schemas.ts'
import type { JsonMap } from '../objects/object.ts'
import { apiVersionOf, type Resource, type ResourceTable } from '../objects/resources.ts'
import type { Schema } from '../objects/schema.ts'

const objectVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

function groupEntry(group: string, versions: readonly string[]): JsonMap {
  const entries = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }))
  return { name: group, versions: entries, preferredVersion: entries[0] }
}

function groupsOf(table: ResourceTable): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, readonly string[]>()
  for (const [group, versions] of table.groups()) groups.set(group, versions)
  for (const kind of reviewKinds) if (!groups.has(kind.group)) groups.set(kind.group, [kind.version])
  return groups
}

/** The answer for `/api`, `/api/v1`, `/apis`, `/apis/GROUP` and `/apis/GROUP/VERSION`; undefined for anything else. */
export function discover(table: ResourceTable, path: string): JsonMap | undefined {
  const parts = path.split('/').filter((part) => part !== '')
  const groups = groupsOf(table)
  if (path === '/api') {
    return {
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '' }],
    }
  }
  if (parts[0] === 'api' && parts.length === 2 && parts[1] === 'v1') return resourceList(table, '', 'v1')
  if (parts[0] !== 'apis') return undefined
  if (parts.length === 1) {
    const entries = [...groups]
      .filter(([group]) => group !== '')
      .map(([group, versions]) => groupEntry(group, versions))
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: entries }
  }
  const versions = groups.get(parts[1]!)
  if (versions === undefined) return undefined
  if (parts.length === 2) return { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(parts[1]!, versions) }
  if (parts.length === 3 && versions.includes(parts[2]!)) return resourceList(table, parts[1]!, parts[2]!)
  return undefined
}

function resourceList(table: ResourceTable, group: string, version: string): JsonMap {
  const resources: JsonMap[] = []
  for (const resource of table.all()) {
    if (resource.group !== group || resource.version !== version) continue
    resources.push({
      name: resource.plural,
      singularName: resource.singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs: objectVerbs,
      ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
      ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
    })
    resources.push(...subresources(resource))
  }
  for (const kind of reviewKinds) {
    if (kind.group === group && kind.version === version)
      resources.push({
        name: kind.plural,
        singularName: kind.kind.toLowerCase(),
        namespaced: false,
        kind: kind.kind,
        verbs: ['create'],
      })
  }
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources,
  }
}

function subresources(resource: Resource): readonly JsonMap[] {
  const entry = (name: string, kind: string, verbs: readonly string[], more: JsonMap = {}): JsonMap => ({
    name: `${resource.plural}/${name}`,
    singularName: '',
    namespaced: resource.namespaced,
    kind,
    verbs,
    ...more,
  })
  const list: JsonMap[] = []
  if (resource.status) list.push(entry('status', resource.kind, ['get', 'patch', 'update']))
  if (resource.scale)
    list.push(entry('scale', 'Scale', ['get', 'patch', 'update'], { group: 'autoscaling', version: 'v1' }))
  if (resource.key === '/pods') {
    list.push(
      entry('log', 'Pod', ['get']),
      entry('exec', 'PodExecOptions', ['create', 'get']),
      entry('portforward', 'PodPortForwardOptions', ['create', 'get']),
      entry('eviction', 'Eviction', ['create'], { group: 'policy', version: 'v1' }),
      entry('binding', 'Binding', ['create']),
    )
  }
  if (resource.key === '/serviceaccounts')
    list.push(entry('token', 'TokenRequest', ['create'], { group: 'authentication.k8s.io', version: 'v1' }))
  return list
}

/** `/openapi/v3`: where the document of each group and version is. */
export function openApiIndex(table: ResourceTable): JsonMap {
  const paths: JsonMap = {}
  for (const [group, versions] of table.groups()) {
    for (const version of versions) {
      const path = group === '' ? `api/${version}` : `apis/${group}/${version}`
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}` }
    }
  }
  return { paths }
}

/** `/openapi/v3/apis/GROUP/VERSION`; undefined when nothing is served there. */
export function openApiDocument(table: ResourceTable, path: string): JsonMap | undefined {
  const parts = path.split('/').filter((part) => part !== '')
  const [group, version] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]]
  const resources = table.all().filter((resource) => resource.group === group && resource.version === version)
  if (resources.length === 0) return undefined
  const schemas: JsonMap = {}
  const paths: JsonMap = {}
  for (const resource of resources) {
    const gvk = { group: resource.group, version: resource.version, kind: resource.kind }
    const name = `${resource.group === '' ? 'core' : resource.group}.${resource.version}.${resource.kind}`
    schemas[name] = {
      ...(openApiSchema(resource.schema, schemas, true) as JsonMap),
      'x-kubernetes-group-version-kind': [gvk],
    }
    const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${apiVersionOf(resource)}`
    const scope = resource.namespaced ? '/namespaces/{namespace}' : ''
    paths[`${root}${scope}/${resource.plural}/{name}`] = operations(gvk, name)
  }
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'v1.36.0' }, paths, components: { schemas } }
}

function operations(gvk: JsonMap, name: string): JsonMap {
  const content = { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } }
  const responses = { 200: { description: 'OK', content } }
  const parameter = (text: string): JsonMap => ({
    name: text,
    in: 'query',
    schema: { type: 'string', uniqueItems: true },
  })
  const common = { responses, 'x-kubernetes-group-version-kind': gvk }
  const written = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map(parameter)
  return {
    get: { ...common, 'x-kubernetes-action': 'get' },
    put: { ...common, parameters: written.slice(0, 3), 'x-kubernetes-action': 'put' },
    patch: { ...common, parameters: written, 'x-kubernetes-action': 'patch' },
    delete: { ...common, 'x-kubernetes-action': 'delete' },
  }
}

/** Our schemas as OpenAPI: built-in types by reference (some contain themselves), merge keys as kubectl reads them. */
function openApiSchema(schema: Schema, schemas: JsonMap, inline = false): unknown {
  const named = inline ? undefined : builtinTypeName(schema)
  if (named !== undefined) {
    if (schemas[named] === undefined) {
      schemas[named] = {}
      schemas[named] = openApiSchema(schema, schemas, true)
    }
    return { allOf: [{ $ref: `#/components/schemas/${named}` }], default: {} }
  }
  const { properties, items, additionalProperties, ...rest } = schema
  const keys = schema['x-kubernetes-list-map-keys']
  return {
    ...rest,
    ...(keys === undefined ? {} : { 'x-kubernetes-patch-merge-key': keys[0], 'x-kubernetes-patch-strategy': 'merge' }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([key, inner]) => [key, openApiSchema(inner, schemas)]),
          ),
        }),
    ...(items === undefined ? {} : { items: openApiSchema(items, schemas) }),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: openApiSchema(additionalProperties, schemas) }
      : {}),
  }
}
