// A user's regular expression: RE2 syntax, compiled once, linear in the length of the text. Never the built-in RegExp.
import { RE2JS } from 're2js'

export interface Pattern {
  readonly source: string
  /** Whether the whole text matches. */
  test(text: string): boolean
}

const maxSourceLength = 4096

/** Compiles an expression, anchored at both ends. Undefined when it is no RE2 expression or is unreasonably long. */
export function compilePattern(source: string): Pattern | undefined {
  if (source.length > maxSourceLength) return undefined
  try {
    const compiled = RE2JS.compile(source)
    return { source, test: (text) => compiled.matches(text) }
  } catch {
    return undefined
  }
}
