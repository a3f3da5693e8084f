// Manifests as objects with their places, and every mistake with file, line, object and hint. Pure but for reading files.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, type YAMLMap } from 'yaml'
import type { KubeObject } from '../kube/index.ts'

export interface Place {
  readonly file: string
  readonly line: number
}

export interface Loaded {
  readonly object: KubeObject
  readonly place: Place
  /** The line of a field such as `spec.rules[0].backendRefs`, or of the nearest field above it that is there. */
  readonly lineOf?: (path: string) => number
}

export interface Mistake {
  readonly place: Place
  readonly object?: string
  readonly message: string
  /** The identity of the object that the server refused. */
  readonly refused?: string
}

export interface FileContent {
  readonly file: string
  /** Undefined when it could not be read. */
  readonly text?: string
  readonly objects: readonly Loaded[]
  readonly mistakes: readonly Mistake[]
}

type Named = Pick<KubeObject, 'apiVersion' | 'kind'> & {
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

/** Group, kind, namespace and name: what makes an object the same in all versions of its kind. */
export const identity = (object: Named): string =>
  `${object.apiVersion.split('/')[0]}/${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`

/** How a message names an object. */
export const describe = (object: Named): string =>
  `${object.kind} ${object.metadata.namespace ? `${object.metadata.namespace}/` : ''}${object.metadata.name}`

const shape = 'expected an object with apiVersion, kind and metadata.name'

function hintFor(message: string): string {
  if (/Flow (sequence|map)/i.test(message)) return ' (a bracket or brace is not closed)'
  if (/\btabs?\b/i.test(message)) return ' (YAML indents with spaces)'
  if (/implicit keys|Nested mappings|indentation|All mapping items/i.test(message))
    return ' (look at the indentation of this line and the one before)'
  return ''
}

function fieldPath(path: string): readonly (string | number)[] {
  return [...path.matchAll(/\[(\d+)\]|\["?([^\]"]+)"?\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted ?? name ?? '') : Number(index),
  )
}

/** Where the deepest field of `path` that exists begins: its key where it has one. */
function startOf(top: YAMLMap, path: readonly (string | number)[]): number {
  let here: unknown = top
  let start = top.range?.[0] ?? 0
  for (const step of path) {
    if (isMap(here)) {
      const pair: { key: unknown; value: unknown } | undefined = here.items.find(
        ({ key }) => (isScalar(key) ? String(key.value) : key) === String(step),
      )
      if (!pair) return start
      if (isNode(pair.key)) start = pair.key.range?.[0] ?? start
      here = pair.value
    } else if (isSeq(here) && typeof step === 'number') {
      const item: unknown = here.items[step]
      if (!isNode(item)) return start
      start = (item as Node).range?.[0] ?? start
      here = item
    } else return start
  }
  return start
}

/** Which of the texts that name an object it lacks: what people type is of any type. */
function missingIn(value: unknown): readonly string[] {
  const { apiVersion, kind, metadata } = (value ?? {}) as Readonly<Record<string, unknown>>
  const { name, namespace } = (metadata ?? {}) as Readonly<Record<string, unknown>>
  const texts = {
    apiVersion,
    kind,
    'metadata.name': name,
    'metadata.namespace': namespace === '' ? 'none' : (namespace ?? 'none'),
  }
  return Object.entries(texts).flatMap(([path, text]) => (typeof text === 'string' && text !== '' ? [] : [path]))
}

/** All objects of one file's text. One broken document does not lose the others of the file. */
export function readText(text: string, file: string): FileContent {
  const objects: Loaded[] = []
  const mistakes: Mistake[] = []
  const lines = new LineCounter()
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const lineAt = (offset: number): number => lines.linePos(offset).line
    const [error] = document.errors
    if (error) {
      const message = error.message.split(' at line')[0] ?? error.message
      mistakes.push({ place: { file, line: lineAt(error.pos[0]) }, message: `YAML: ${message}${hintFor(message)}` })
      continue
    }
    const { contents } = document
    if (contents === null || (isScalar(contents) && contents.value === null)) continue
    const place = { file, line: lineAt(contents.range?.[0] ?? 0) }
    if (!isMap(contents)) {
      mistakes.push({ place, message: shape })
      continue
    }
    const lineOf = (path: string): number => lineAt(startOf(contents, fieldPath(path)))
    let value: unknown
    try {
      value = document.toJS()
    } catch (cause) {
      // An alias of nothing, or too many.
      mistakes.push({ place, message: `YAML: ${(cause as Error).message}` })
      continue
    }
    const { kind, items } = value as { readonly kind?: unknown; readonly items?: unknown }
    const isList = kind === 'List' && Array.isArray(items)
    const found = isList ? items.map((item, index) => [item, `items[${index}]`] as const) : [[value, ''] as const]
    for (const [object, path] of found) {
      const here = path === '' ? place : { file, line: lineOf(path) }
      const missing = missingIn(object)
      if (missing.length > 0)
        mistakes.push({ place: here, message: `${missing.join(', ')} is missing or no text: ${shape}` })
      else {
        const inside = path === '' ? lineOf : (field: string) => lineOf(`${path}.${field}`)
        objects.push({ object: object as KubeObject, place: here, lineOf: inside })
      }
    }
  }
  return { file, text, objects, mistakes }
}

/** Every .yaml, .yml and .json file of a folder, sorted, but for images.yaml (no object) and hidden ones; or the one file named. */
function manifestFiles(path: string): readonly string[] {
  if (!existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ya?ml|json)$/.test(name) && !/(^|\/)images\.yaml$/.test(name) && !/(^|\/)\./.test(name))
    .sort()
    .map((name) => join(path, name))
}

/** All manifests of a folder, or one file; none when it does not exist. Never throws. */
export function readPath(path: string): readonly FileContent[] {
  return manifestFiles(path).map((file) => {
    try {
      return readText(readFileSync(file, 'utf8'), file)
    } catch (cause) {
      return { file, objects: [], mistakes: [{ place: { file, line: 1 }, message: (cause as Error).message }] }
    }
  })
}

/** Objects that stand twice: the first stays, each later one is a mistake that names the first. */
export function withoutDuplicates(files: readonly FileContent[]): {
  objects: readonly Loaded[]
  mistakes: readonly Mistake[]
} {
  const first = new Map<string, Loaded>()
  const mistakes: Mistake[] = files.flatMap((file) => file.mistakes)
  for (const loaded of files.flatMap((file) => file.objects)) {
    const key = identity(loaded.object)
    const earlier = first.get(key)
    if (!earlier) first.set(key, loaded)
    else {
      const where = `${earlier.place.file}:${earlier.place.line}`
      mistakes.push({
        place: loaded.place,
        object: describe(loaded.object),
        message: `this object stands in ${where} already; that one is in force, remove one of them`,
      })
    }
  }
  return { objects: [...first.values()], mistakes }
}
