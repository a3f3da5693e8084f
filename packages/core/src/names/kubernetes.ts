// Names that the Kubernetes API accepts.
import { stableHash } from '../result/hash.ts'

/**
 * Joins parts with "-" into a DNS label of at most `limit` characters (63 for Services and labels). A name that is too
 * long, or has characters that a label may not have, is cut and gets 8 digits of the hash of all its parts.
 */
export function hashName(parts: readonly string[] | string, limit = 63): string {
  const plain = typeof parts === 'string' ? parts : parts.join('-')
  if (plain.length <= limit && isDnsLabel(plain)) return plain
  const stem = plain
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, limit - 9)
    .replace(/^-+|-+$/g, '')
  const hash = stableHash(parts).slice(0, 8)
  // A label may start with a digit, but a Service's name may not.
  return /^[a-z]/.test(stem) ? `${stem}-${hash}` : `x${stem.slice(0, limit - 10)}-${hash}`
}

/** RFC 1123 label: at most 63 of a-z, 0-9 and "-", starting and ending with a letter or digit. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text)
}

/** RFC 1123 subdomain: labels joined by dots, at most 253 characters. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && text.split('.').every(isDnsLabel)
}
