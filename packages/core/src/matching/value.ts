// Matches on the value of a header or query parameter.
import { compilePattern, type Pattern } from './pattern.ts'

export interface ValueSpec {
  readonly name: string
  readonly kind: 'exact' | 'regex'
  readonly value: string
}

export interface NamedMatch {
  readonly name: string
  readonly exact: string
  /** Null: `exact` decides. */
  readonly pattern: Pattern | null
}

/** Of several matches with one name the first counts. Undefined: a regular expression that does not compile. */
export function compileValues(specs: readonly ValueSpec[], lowerCase: boolean): readonly NamedMatch[] | undefined {
  const result: NamedMatch[] = []
  for (const spec of specs) {
    const name = lowerCase ? spec.name.toLowerCase() : spec.name
    if (result.some((known) => known.name === name)) continue
    const pattern = spec.kind === 'regex' ? compilePattern(spec.value) : null
    if (pattern === undefined) return undefined
    result.push({ name, exact: spec.kind === 'exact' ? spec.value : '', pattern })
  }
  return result
}

export function matchesValue(match: NamedMatch, value: string | undefined): boolean {
  if (value === undefined) return false
  return match.pattern === null ? value === match.exact : match.pattern.test(value)
}
