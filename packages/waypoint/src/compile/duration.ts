// Durations of the wire in milliseconds.

/** The longest that a timer of node takes, some 24 days: it fires a longer one at once. */
const longestMs = 2 ** 31 - 1

/** Fractions of a millisecond count as a whole one, so that a tiny timeout does not become none. */
export function toMs(duration: { readonly seconds: bigint; readonly nanos: number } | undefined): number | undefined {
  if (duration === undefined) return undefined
  return Math.min(longestMs, Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1e6))
}
