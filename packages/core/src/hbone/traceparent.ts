// W3C trace context, version 00: 00-<32 hex>-<16 hex>-<2 hex>.

export interface Traceparent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string
  /** 16 lower-case hex digits, not all zero. */
  readonly parentId: string
  readonly sampled: boolean
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Reads the header; undefined when it is malformed, all zero, or of the forbidden version ff. */
export function parseTraceparent(text: string): Traceparent | undefined {
  const match = text.length > 512 ? null : form.exec(text)
  if (match === null || match[1] === 'ff' || (match[1] === '00' && match[5] !== undefined)) return undefined
  const traceId = match[2]!
  const parentId = match[3]!
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(match[4]!, 16) & 1) === 1 }
}

/** A new, unsampled trace context from `random` (values in [0, 1), not for secrets). */
export function newTraceparent(random: () => number): string {
  return `00-${hex(random, 4)}-${hex(random, 2)}-00`
}

function hex(random: () => number, words: number): string {
  let text = ''
  for (let i = 0; i < words; i++) {
    const word = Math.floor(random() * 0x1_0000_0000)
    // The last word keeps its lowest bit set: an identifier of zeros is invalid.
    text += ((i === words - 1 ? word | 1 : word) >>> 0).toString(16).padStart(8, '0')
  }
  return text
}
