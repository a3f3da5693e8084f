// How much of what costs the peer nothing but us something a session takes before it is closed: floods of PING, SETTINGS, resets…
import { errorCodes, H2Error } from '@wishbone/core/h2'

interface Bucket {
  readonly size: number
  readonly perSecond: number
}

/** Far above what any honest peer sends; the sizes are bursts. */
const buckets = {
  /** Each is answered. Honest peers send one in ten seconds. */
  ping: { size: 100, perSecond: 10 },
  settings: { size: 20, perSecond: 1 },
  /** Streams reset before they were answered (rapid reset), and streams that we reset for the peer's errors. */
  reset: { size: 1000, perSecond: 100 },
  emptyData: { size: 1000, perSecond: 100 },
  /** PRIORITY and frames of unknown types. */
  ignored: { size: 1000, perSecond: 100 },
} as const satisfies Record<string, Bucket>

export type Flood = keyof typeof buckets

export class FloodLimits {
  readonly #level = new Map<Flood, { tokens: number; at: number }>()

  /** Counts one frame. Throws the H2Error ENHANCE_YOUR_CALM that ends the session when there were too many. */
  count(flood: Flood, now: number = performance.now()): void {
    const { size, perSecond } = buckets[flood]
    let level = this.#level.get(flood)
    if (level === undefined) this.#level.set(flood, (level = { tokens: size, at: now }))
    level.tokens = Math.min(size, level.tokens + ((now - level.at) * perSecond) / 1000)
    level.at = now
    if (level.tokens < 1) throw new H2Error(errorCodes.enhanceYourCalm, `too many frames of the kind "${flood}"`)
    level.tokens--
  }
}
