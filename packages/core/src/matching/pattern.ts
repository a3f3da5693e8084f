// A user's regular expression: RE2 syntax, compiled once, linear in the length of the text. Never the built-in RegExp.
import { RE2Set } from 're2js'
import { patternSize } from './pattern-size.ts'

export interface Pattern {
  readonly source: string
  /** Whether the whole text matches. */
  test(text: string): boolean
}

/** The longest that the Gateway API allows. */
const maxSourceLength = 4096

/**
 * In instructions, of one expression: twice what the longest without repeats needs. Istio allows Envoy 32,768 (re2.max_program_size),
 * and that is faster by far. Above it, a few hundred characters of one tenant's route kept a gateway that others share busy for
 * seconds with each request.
 */
const maxSize = 8_192

/**
 * Bytes of what an expression remembers of texts that it has seen (states of its automaton). Clients fill it, a route may have 128
 * expressions, and the 8 MiB of RE2JS itself would cost a gateway a gigabyte, and time to fill them. A set of one expression matches
 * as RE2JS.matches does.
 */
const maxMemory = 256 << 10

/** Compiles an expression, anchored at both ends. Undefined when it is no RE2 expression or it is unreasonably large. */
export function compilePattern(source: string): Pattern | undefined {
  if (patternProblem(source) !== undefined) return undefined
  try {
    const set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, maxMemory)
    set.add(source)
    set.compile()
    return { source, test: (text) => set.match(text).length > 0 }
  } catch {
    return undefined
  }
}

/** What is wrong with the size of an expression that is to be compiled, if anything. */
export function patternProblem(source: string): string | undefined {
  if (source.length > maxSourceLength) return `has ${source.length} characters; ${maxSourceLength} are the most`
  const size = patternSize(source)
  if (!(size <= maxSize)) return `is too large: ${size} steps with its repeats written out; ${maxSize} are the most`
  return undefined
}
