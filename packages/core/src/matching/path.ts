// Path matches (Gateway API HTTPPathMatch). Paths are compared as received: nothing is decoded or normalised.
import { compilePattern, type Pattern } from './pattern.ts'

export type PathSpec =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string }

export type PathMatch =
  | { readonly kind: 'exact'; readonly value: string }
  /** Without its final slash: "" is every path. */
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string; readonly pattern: Pattern }

/** No specification is the prefix "/". Undefined: a regular expression that does not compile. */
export function compilePath(spec: PathSpec | undefined): PathMatch | undefined {
  if (spec === undefined) return { kind: 'prefix', value: '' }
  if (spec.kind === 'exact') return { kind: 'exact', value: spec.value }
  if (spec.kind === 'prefix') return { kind: 'prefix', value: trimSlash(spec.value) }
  const pattern = compilePattern(spec.value)
  return pattern === undefined ? undefined : { kind: 'regex', value: spec.value, pattern }
}

/** `path` is without the query. A prefix matches whole path elements: "/v2" takes "/v2" and "/v2/x", not "/v2x". */
export function matchesPath(match: PathMatch, path: string): boolean {
  switch (match.kind) {
    case 'exact':
      return path === match.value
    case 'prefix': {
      const length = match.value.length
      if (length === 0) return path.charCodeAt(0) === 0x2f
      return path.startsWith(match.value) && (path.length === length || path.charCodeAt(length) === 0x2f)
    }
    case 'regex':
      return match.pattern.test(path)
  }
}

function trimSlash(prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
}
