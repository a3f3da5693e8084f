// Gateway API durations (GEP-2257): "1h", "90s", "1m30s500ms". Narrower than those of settings: no fractions, no days.
import { create } from '@bufbuild/protobuf'
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt'

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** Milliseconds; undefined if the text is not a duration. */
export function parseGatewayDurationMs(text: string): number | undefined {
  if (!/^(?:\d{1,5}(?:h|ms|m|s)){1,4}$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+)(h|ms|m|s)/g)) total += Number(amount) * unitMs[unit!]!
  return total
}

/** Throws on text that is not a duration, naming the field. */
export function durationOf(text: string | undefined, field: string): Duration | undefined {
  if (text === undefined) return undefined
  const ms = parseGatewayDurationMs(text)
  if (ms === undefined) throw new Error(`${field} "${text}" is not a duration; write it like "10s" or "1m30s"`)
  return create(DurationSchema, { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 })
}
