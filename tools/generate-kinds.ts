// Writes packages/controller/src/kinds/gen from the CRDs in deploy/crds: one TypeScript interface
// per kind, from its storage version's schema. Only shapes; defaults and CEL rules are not typed.
//   node tools/generate-kinds.ts [--check]      --check: exit 1 when the committed files are stale
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'

interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly additionalProperties?: Schema | boolean
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly 'x-kubernetes-int-or-string'?: boolean
}

interface Crd {
  readonly kind: string
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string; readonly plural: string }
    readonly scope: string
    readonly versions: readonly {
      readonly name: string
      readonly served: boolean
      readonly storage: boolean
      readonly schema: { readonly openAPIV3Schema: Schema }
    }[]
  }
}

const root = join(import.meta.dirname, '..')
const crdFolder = join(root, 'deploy/crds')
const outFolder = join(root, 'packages/controller/src/kinds/gen')

/** The TypeScript type of a schema, as source text. */
export function typeOf(schema: Schema, indent = ''): string {
  if (schema['x-kubernetes-int-or-string']) return 'number | string'
  if (schema.enum?.every((value) => typeof value === 'string')) {
    return schema.enum.map((value) => `'${String(value)}'`).join(' | ')
  }
  switch (schema.type) {
    case 'string':
      return 'string'
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'array':
      return `ReadonlyArray<${schema.items ? typeOf(schema.items, indent) : 'unknown'}>`
    default:
      return objectType(schema, indent)
  }
}

function objectType(schema: Schema, indent: string): string {
  if (schema.properties) {
    const inner = `${indent}  `
    const required = new Set(schema.required ?? [])
    const lines = Object.entries(schema.properties).map(([name, property]) => {
      const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`
      return `${inner}readonly ${key}${required.has(name) ? '' : '?'}: ${typeOf(property, inner)}`
    })
    return `{\n${lines.join('\n')}\n${indent}}`
  }
  if (typeof schema.additionalProperties === 'object') {
    return `Readonly<Record<string, ${typeOf(schema.additionalProperties, indent)}>>`
  }
  return schema.type === 'object' ? 'Readonly<Record<string, unknown>>' : 'unknown'
}

/** The source file for one CRD: its newest stable served version. */
export function fileOf(crd: Crd): { readonly name: string; readonly text: string } {
  const { group, names, scope, versions } = crd.spec
  const version = versions.find((v) => v.name === 'v1' && v.served) ?? versions.find((v) => v.storage)
  if (!version) throw new Error(`${names.kind}.${group}: no version is served; check its CRD`)
  const properties = { ...version.schema.openAPIV3Schema.properties }
  const required = new Set(version.schema.openAPIV3Schema.required ?? [])
  const members = ['spec', 'status']
    .filter((name) => properties[name])
    .map(
      (name) =>
        `  readonly ${name}${name === 'spec' || required.has(name) ? '' : '?'}: ${typeOf(properties[name]!, '  ')}`,
    )
  const text = `// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** ${group}/${version.name}, ${scope.toLowerCase()}. */
export interface ${names.kind} {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
${members.join('\n')}
}
`
  return { name: `${names.kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}.ts`, text }
}

/** Every file of the output folder, by name. */
function generate(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  const kinds: string[] = []
  for (const folder of ['gateway-api', 'istio', 'wishbone']) {
    for (const entry of readdirSync(join(crdFolder, folder)).sort()) {
      const crd = parse(readFileSync(join(crdFolder, folder, entry), 'utf8')) as Crd
      if (crd.kind !== 'CustomResourceDefinition') continue
      const { name, text } = fileOf(crd)
      files.set(name, text)
      kinds.push(`export type { ${crd.spec.names.kind} } from './${name}'`)
    }
  }
  files.set('index.ts', `// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.\n${kinds.join('\n')}\n`)
  return files
}

function main(check: boolean): number {
  const files = generate()
  const present = (() => {
    try {
      return readdirSync(outFolder)
    } catch {
      return []
    }
  })()
  const stale = [
    ...present.filter((name) => !files.has(name)),
    ...[...files]
      .filter(([name, text]) => !present.includes(name) || readFileSync(join(outFolder, name), 'utf8') !== text)
      .map(([name]) => name),
  ]
  if (check) {
    if (stale.length === 0) return 0
    console.error(`packages/controller/src/kinds/gen is stale (${stale.join(', ')}): run node tools/generate-kinds.ts`)
    return 1
  }
  for (const name of present) if (!files.has(name)) rmSync(join(outFolder, name))
  for (const [name, text] of files) {
    mkdirSync(dirname(join(outFolder, name)), { recursive: true })
    writeFileSync(join(outFolder, name), text)
  }
  return 0
}

if (process.argv[1] === import.meta.filename) process.exitCode = main(process.argv.includes('--check'))
