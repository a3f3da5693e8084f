// Header lists: names and values in turn, as received. Names compare without case; their spelling is kept.

export type HeaderList = string[]

/** Gateway API HTTPHeaderFilter; names in any case. */
export interface HeaderModifier {
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly add: readonly (readonly [name: string, value: string])[]
  readonly remove: readonly string[]
}

/** Changes `headers` in place: set, then add, then remove. */
export function applyHeaderModifier(headers: HeaderList, modifier: HeaderModifier): void {
  for (const [name, value] of modifier.set) setHeader(headers, name, value)
  for (const [name, value] of modifier.add) appendHeader(headers, name, value)
  for (const name of modifier.remove) removeHeader(headers, name)
}

/** Replaces the first line of that name and removes the others; appends if there is none. */
export function setHeader(headers: HeaderList, name: string, value: string): void {
  const at = indexOf(headers, name, 0)
  if (at < 0) {
    headers.push(name, value)
    return
  }
  headers[at + 1] = value
  removeFrom(headers, name, at + 2)
}

/** Joins to the value that is there, or appends. Set-Cookie values cannot be joined (RFC 6265 §3). */
export function appendHeader(headers: HeaderList, name: string, value: string): void {
  const at = equalNames(name, 'set-cookie') ? -1 : indexOf(headers, name, 0)
  if (at < 0) headers.push(name, value)
  else headers[at + 1] = headers[at + 1] === '' ? value : `${headers[at + 1]},${value}`
}

export function removeHeader(headers: HeaderList, name: string): void {
  removeFrom(headers, name, 0)
}

/** The values of all lines of that name, joined by ",". */
export function getHeader(headers: readonly string[], name: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < headers.length; i += 2)
    if (equalNames(headers[i]!, name)) value = value === undefined ? headers[i + 1]! : `${value},${headers[i + 1]!}`
  return value
}

function removeFrom(headers: HeaderList, name: string, from: number): void {
  let kept = from
  for (let i = from; i < headers.length; i += 2) {
    if (equalNames(headers[i]!, name)) continue
    headers[kept] = headers[i]!
    headers[kept + 1] = headers[i + 1]!
    kept += 2
  }
  headers.length = kept
}

function indexOf(headers: readonly string[], name: string, from: number): number {
  for (let i = from; i < headers.length; i += 2) if (equalNames(headers[i]!, name)) return i
  return -1
}

function equalNames(a: string, b: string): boolean {
  return a === b || (a.length === b.length && a.toLowerCase() === b.toLowerCase())
}
