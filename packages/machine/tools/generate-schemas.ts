// Writes src/gen/builtin-schemas.json: the structure (fields, types, required fields) of the built-in Kubernetes kinds,
// read from the typings of @kubernetes/client-node, which is a dependency of packages/runtime, not of the machine.
// Run: node packages/machine/tools/generate-schemas.ts
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { builtinRootTypes } from '../src/api/objects/builtin-kinds.ts'

interface Attribute {
  readonly baseName: string
  readonly type: string
  readonly format: string
}

const require = createRequire(join(import.meta.dirname, '../../runtime/package.json'))
const models = join(dirname(require.resolve('@kubernetes/client-node')), 'gen/models')

async function attributes(type: string): Promise<readonly Attribute[]> {
  const module = (await import(join(models, `${type}.js`))) as Record<
    string,
    { readonly attributeTypeMap: readonly Attribute[] }
  >
  return module[type]!.attributeTypeMap
}

/** Fields without `?` in the declaration are required. Defaults of Go's zero value (status blocks) are too, as upstream. */
function requiredFields(type: string): readonly string[] {
  const text = readFileSync(join(models, `${type}.d.ts`), 'utf8')
  return [...text.matchAll(/^ {4}'([^']+)': /gm)].map((match) => match[1]!)
}

const types: Record<string, { readonly f: Record<string, string>; readonly r?: readonly string[] }> = {}

async function visit(type: string): Promise<void> {
  const inner = /^(?:Array<|\{ \[key: string\]: )(.*?)(?:>|; \})$/.exec(type)?.[1]
  if (inner !== undefined) return visit(inner)
  if (!/^(V\d|Core|Discovery|Events|Rbac|Storage)/.test(type) || types[type] !== undefined) return
  if (type === 'V1JSONSchemaProps') return
  if (type === 'V1MicroTime') return
  const fields: Record<string, string> = {}
  types[type] = { f: fields }
  const list = await attributes(type)
  for (const attribute of list) fields[attribute.baseName] = shorten(attribute)
  const required = requiredFields(type).filter((name) => fields[name] !== undefined)
  if (required.length > 0) types[type] = { f: fields, r: required }
  for (const attribute of list) await visit(attribute.type)
}

function shorten(attribute: Attribute): string {
  if (attribute.type === 'number' && attribute.format.startsWith('int')) return 'integer'
  if (attribute.type === 'V1MicroTime') return 'Date'
  return attribute.type
}

for (const type of builtinRootTypes) await visit(type)
const sorted = Object.fromEntries(Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(
  join(import.meta.dirname, '../src/gen/builtin-schemas.json'),
  `{\n${Object.entries(sorted)
    .map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
    .join(',\n')}\n}\n`,
)
