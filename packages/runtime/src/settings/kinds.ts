// The kinds of settings: each knows how to parse a variable's text and how to describe what it accepts.
import { longestTimerMs } from '@wishbone/core/timers'

/** One variable: its name, its default and its parser. `parse` returns undefined for text that is not acceptable. */
export interface Setting<T> {
  readonly name: string
  readonly expected: string
  readonly fallback: { readonly value: T } | undefined
  parse(value: string): T | undefined
}

function setting<T>(
  name: string,
  expected: string,
  parse: (value: string) => T | undefined,
  fallback: T | undefined,
): Setting<T> {
  return { name, expected, parse, fallback: fallback === undefined ? undefined : { value: fallback } }
}

/** Any text. Without a fallback the variable is required. */
export function text(name: string, fallback?: string): Setting<string> {
  return setting(name, 'a text', (value) => value, fallback)
}

/** A text that may be absent. */
export function optional(name: string): Setting<string | undefined> {
  return { name, expected: 'a text', parse: (value) => value, fallback: { value: undefined } }
}

/** A whole number within the given limits. */
export function integer(
  name: string,
  fallback?: number,
  limits: { readonly min?: number; readonly max?: number } = {},
): Setting<number> {
  const min = limits.min ?? 0
  const max = limits.max ?? Number.MAX_SAFE_INTEGER
  const parse = (value: string) => {
    const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN
    return number >= min && number <= max ? number : undefined
  }
  const range = limits.max === undefined ? `of at least ${min}` : `from ${min} to ${max}`
  return setting(name, `a whole number ${range}`, parse, fallback)
}

/** true/false, 1/0, yes/no, on/off in any case. */
export function bool(name: string, fallback?: boolean): Setting<boolean> {
  const parse = (value: string) => {
    if (/^(true|1|yes|on)$/i.test(value)) return true
    if (/^(false|0|no|off)$/i.test(value)) return false
    return undefined
  }
  return setting(name, 'true or false', parse, fallback)
}

/** One of the given words. */
export function oneOf<const T extends string>(name: string, words: readonly T[], fallback?: T): Setting<T> {
  return setting(name, words.join(' or '), (value) => words.find((word) => word === value), fallback)
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses Go-style durations ("1h30m", "500ms", "10s") into milliseconds; undefined if it is none. */
function parseDurationMs(value: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value)) return undefined
  let total = 0
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (unitMs[unit ?? 's'] ?? 1000)
  }
  return total
}

/** A duration such as "10s" or "500ms", given in milliseconds. A bare number is read as seconds. */
export function duration(name: string, fallbackMs?: number): Setting<number> {
  const parse = (value: string) => {
    const ms = /^\d+$/.test(value) ? Number(value) * 1000 : parseDurationMs(value)
    return ms === undefined ? undefined : Math.min(ms, longestTimerMs)
  }
  return setting(name, 'a duration such as 10s, 500ms or 1h30m', parse, fallbackMs)
}

/** Seconds as Istio writes them: a bare number or a duration with a unit; the result is in seconds. */
export function seconds(name: string, fallbackSeconds?: number): Setting<number> {
  const parse = (value: string) => {
    if (/^\d+$/.test(value)) return Number(value)
    const ms = parseDurationMs(value)
    return ms === undefined ? undefined : ms / 1000
  }
  return setting(name, 'seconds, such as 86400 or 24h', parse, fallbackSeconds)
}
