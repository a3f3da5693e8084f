// Durations of the wire in milliseconds.
import { longestTimerMs } from '@wishbone/core/timers'

/** Fractions of a millisecond count as a whole one, so that a tiny timeout does not become none. */
export function toMs(duration: { readonly seconds: bigint; readonly nanos: number } | undefined): number | undefined {
  if (duration === undefined) return undefined
  return Math.min(longestTimerMs, Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1e6))
}
