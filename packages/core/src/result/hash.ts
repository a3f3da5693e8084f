// Content hashes: equal content, equal hash, on every replica.
import { createHash } from 'node:crypto'

/** The first 16 hex digits of the SHA-256 of bytes, or of data as JSON with sorted keys. */
export function stableHash(content: Uint8Array | unknown): string {
  const bytes = content instanceof Uint8Array ? content : stableJson(content)
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** JSON with object keys in order, maps and sets as sorted entries, bytes as base64; members that are undefined are left out. */
export function stableJson(value: unknown): string {
  if (value instanceof Uint8Array) return `{"$bytes":"${base64(value)}"}`
  if (typeof value === 'bigint') return `"${value}n"`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(stableJson).join(',')}]`
  if (value instanceof Map) return `{"$map":[${[...value].map(stableJson).sort().join(',')}]}`
  if (value instanceof Set) return `{"$set":[${[...value].map(stableJson).sort().join(',')}]}`
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return JSON.stringify(value)
  const members: string[] = []
  for (const key of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[key]
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${stableJson(member)}`)
  }
  return `{${members.join(',')}}`
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
