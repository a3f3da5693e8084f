// The regular expressions of a rule: whether proxies can compile them, and will not keep everybody waiting with them.
import { patternProblem, patternSize } from '@wishbone/core/matching'
import type { l7 } from '@wishbone/proto'
import { RE2JS } from 're2js'

/** In instructions, of all expressions of one rule. */
const maxRuleSize = 65_536
const maxKnown = 16_384

/** By expression, those asked for last at the end; undefined: it is one. */
const known = new Map<string, string | undefined>()

/**
 * Regular expressions are RE2's, so that a request can't make one take exponential time; and none is so large that compiling it, or all
 * of its rule, would keep everybody waiting.
 */
export function checkExpressions(matches: readonly l7.RequestMatch[]): void {
  let size = 0
  for (const match of matches) {
    const conditions = [
      match.path?.kind,
      ...match.headers.map(({ kind }) => kind),
      ...match.query.map(({ kind }) => kind),
    ]
    for (const condition of conditions) {
      if (condition?.case !== 'regex') continue
      const { value } = condition
      const problem = patternProblem(value)
      if (problem !== undefined) throw new Error(`the regular expression "${shortened(value)}" ${problem}`)
      size += patternSize(value)
      if (!(size <= maxRuleSize))
        throw new Error(
          `its regular expressions are too large together: more than ${maxRuleSize} steps; divide the rule`,
        )
      const mistake = mistakeIn(value)
      if (mistake !== undefined) throw new Error(`"${value}" is no regular expression in RE2 syntax: ${mistake}`)
    }
  }
}

/**
 * Found once and kept: the largest take tens of milliseconds each, a route may have 128 of them, and any pod that comes or goes has all
 * routes translated anew.
 */
function mistakeIn(expression: string): string | undefined {
  const isKnown = known.has(expression)
  const mistake = isKnown ? known.get(expression) : mistakeOf(expression)
  known.delete(expression)
  known.set(expression, mistake)
  if (known.size > maxKnown) known.delete(known.keys().next().value!)
  return mistake
}

function mistakeOf(expression: string): string | undefined {
  try {
    RE2JS.compile(expression)
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
