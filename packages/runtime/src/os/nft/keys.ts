// Set keys and intervals: how addresses and ports become the bytes that sets and comparisons hold.
import { parseCidr } from '@wishbone/core/ip'
import { ipBytes } from '../address.ts'
import type { NftKeyKind, NftPort } from './ruleset.ts'

/** Numbers that `nft list` knows the types by, and their lengths in bytes. */
export const keyTypes: Record<NftKeyKind, { readonly number: number; readonly length: number }> = {
  ipv4: { number: 7, length: 4 },
  ipv6: { number: 8, length: 16 },
  port: { number: 13, length: 2 },
}

/** From and to, both included, as big-endian bytes of equal length. */
export interface Interval {
  readonly from: Uint8Array
  readonly to: Uint8Array
}

export function portBytes(port: number): Uint8Array {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`${port} is not a port`)
  return Uint8Array.of(port >> 8, port & 255)
}

/** The bytes of one element's key; parts of a concatenation are padded to four bytes each. */
export function encodeKey(kinds: readonly NftKeyKind[], key: readonly (string | number)[]): Buffer {
  if (kinds.length !== key.length) throw new Error(`element (${key.join(' . ')}) does not have ${kinds.length} parts`)
  const parts = kinds.map((kind, i) => {
    const value = key[i]
    const bytes = kind === 'port' ? portBytes(Number(value)) : ipBytes(String(value))
    if (bytes.length !== keyTypes[kind].length) throw new Error(`"${value}" is not of kind ${kind}`)
    if (kinds.length === 1) return bytes
    const padded = new Uint8Array((bytes.length + 3) & ~3)
    padded.set(bytes)
    return padded
  })
  return Buffer.concat(parts)
}

export function portInterval(port: NftPort): Interval {
  if (typeof port === 'number') return { from: portBytes(port), to: portBytes(port) }
  if (port.from > port.to) throw new Error(`the port range ${port.from}-${port.to} is empty`)
  return { from: portBytes(port.from), to: portBytes(port.to) }
}

export interface Prefix {
  readonly bytes: Uint8Array
  /** Bits of the prefix; all of them for an address. */
  readonly length: number
}

/** @throws Error if the text is neither an address nor a CIDR */
export function parsePrefix(value: string): Prefix {
  if (!value.includes('/')) {
    const bytes = ipBytes(value)
    return { bytes, length: bytes.length * 8 }
  }
  const cidr = parseCidr(value)
  if (!cidr) throw new Error(`"${value}" is not a CIDR`)
  return { bytes: cidr.address, length: cidr.length }
}

export function prefixMask(prefix: Prefix): Uint8Array {
  return prefix.bytes.map((_, i) => {
    const bits = Math.min(8, Math.max(0, prefix.length - i * 8))
    return (0xff00 >> bits) & 0xff
  })
}

export function prefixInterval(prefix: Prefix): Interval {
  const mask = prefixMask(prefix)
  const from = prefix.bytes.map((byte, i) => byte & (mask[i] ?? 0))
  return { from, to: from.map((byte, i) => byte | (~(mask[i] ?? 0) & 255)) }
}

/** The next value, or undefined after the last one. */
function successor(bytes: Uint8Array): Uint8Array | undefined {
  const next = Uint8Array.from(bytes)
  for (let i = next.length - 1; i >= 0; i--) {
    if (next[i] !== 255) {
      next[i] = (next[i] ?? 0) + 1
      return next
    }
    next[i] = 0
  }
  return undefined
}

/** Sorted, and merged where they touch or overlap: interval sets refuse overlaps. */
export function mergeIntervals(intervals: readonly Interval[]): readonly Interval[] {
  const sorted = [...intervals].sort((a, b) => Buffer.compare(a.from, b.from))
  const merged: Interval[] = []
  for (const next of sorted) {
    const last = merged.at(-1)
    const after = last && successor(last.to)
    if (last && (after === undefined || Buffer.compare(next.from, after) <= 0)) {
      if (Buffer.compare(next.to, last.to) > 0) merged[merged.length - 1] = { from: last.from, to: next.to }
    } else merged.push(next)
  }
  return merged
}

/** Interval sets hold the starts, and the first values after the ends with a flag. */
export function intervalElements(
  intervals: readonly Interval[],
): { readonly key: Uint8Array; readonly end: boolean }[] {
  const elements: { key: Uint8Array; end: boolean }[] = []
  const merged = mergeIntervals(intervals)
  const first = merged[0]
  if (first?.from.some((byte) => byte !== 0)) elements.push({ key: new Uint8Array(first.from.length), end: true })
  for (const interval of merged) {
    elements.push({ key: interval.from, end: false })
    const after = successor(interval.to)
    if (after) elements.push({ key: after, end: true })
  }
  return elements
}
