// How a log line looks: JSON (keys level, time, scope, message, then the fields) or tab-separated text.
// Ambient wire §4.6 fixes both forms; they are what Istio's tools parse.
import { Secret } from '../secret/index.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFormat = 'json' | 'text'
export type Fields = Readonly<Record<string, unknown>>

/** In order of severity. */
export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

export interface Line {
  readonly level: LogLevel
  readonly timeMs: number
  readonly scope: string
  readonly message: string
  readonly fields: Fields
}

/** The value as logs show it: errors become their message and code, secrets are redacted, bytes are counted. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return describeError(value)
  if (value instanceof Secret) return value.toString()
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return value
}

function describeError(error: Error): string {
  const parts: string[] = []
  let next: unknown = error
  for (let depth = 0; next instanceof Error && depth < 4; depth++) {
    const text = next.message || next.name
    if (!parts.some((part) => part.includes(text))) parts.push(text)
    next = next.cause
  }
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && !parts.some((part) => part.includes(code))) parts.push(`(${code})`)
  return parts.join(': ')
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value, (_key, inner) => plain(inner)) ?? 'null'
  } catch {
    return '"[unserialisable]"'
  }
}

function textValue(value: unknown): string {
  const shown = plain(value)
  if (typeof shown === 'number' || typeof shown === 'boolean') return String(shown)
  if (typeof shown === 'string') return /^[^\s"=\\]+$/.test(shown) ? shown : JSON.stringify(shown)
  return stringify(shown)
}

/** Control characters in a message would break the one-line form and could forge lines. */
function singleLine(message: string): string {
  return /[\x00-\x1f\x7f]/.test(message) ? JSON.stringify(message).slice(1, -1) : message
}

/** JSON leaves some control characters as they are, which a terminal that shows the log would obey. */
export function withoutControls(line: string): string {
  return line.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** One line, with its newline. Fields whose value is undefined are left out. */
export function formatLine(format: LogFormat, line: Line): string {
  const time = new Date(line.timeMs).toISOString()
  if (format === 'json') {
    let out = `{"level":"${line.level}","time":"${time}","scope":${JSON.stringify(line.scope)},"message":${JSON.stringify(line.message)}`
    for (const key in line.fields) {
      const value = line.fields[key]
      if (value !== undefined) out += `,${JSON.stringify(key)}:${stringify(plain(value))}`
    }
    return withoutControls(`${out}}\n`)
  }
  let out = `${time}\t${line.level}\t${line.scope}\t${singleLine(line.message)}\t`
  let separator = ''
  for (const key in line.fields) {
    const value = line.fields[key]
    if (value === undefined) continue
    out += `${separator}${key}=${textValue(value)}`
    separator = ' '
  }
  return withoutControls(`${separator === '' ? out.slice(0, -1) : out}\n`)
}
