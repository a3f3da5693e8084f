// Waiting times between retries: they grow by a factor up to a maximum and are spread so that many clients don't retry as one.

export interface BackoffOptions {
  readonly firstMs: number
  readonly maxMs: number
  /** Default 2. */
  readonly factor?: number
  /** Share of the waiting time that is random, 0 to 1. Default 0.2: waits are 80–100 % of the nominal time. */
  readonly jitter?: number
  readonly random?: () => number
}

export interface Backoff {
  /** The next waiting time in milliseconds. */
  next(): number
  /** After a success: the next wait is the first one again. */
  reset(): void
}

/** Makes an exponential backoff. */
export function backoff(options: BackoffOptions): Backoff {
  const factor = options.factor ?? 2
  const jitter = options.jitter ?? 0.2
  const random = options.random ?? Math.random
  let nominal = options.firstMs
  return {
    next() {
      const wait = nominal * (1 - jitter * random())
      nominal = Math.min(nominal * factor, options.maxMs)
      return wait
    },
    reset() {
      nominal = options.firstMs
    },
  }
}
