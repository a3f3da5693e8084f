// The retry decision (Gateway API HTTPRouteRetry, GEP-1731; RFC 9110 §9.2.2 for what may be repeated unasked).
import { longestTimerMs } from '../timers/index.ts'

export interface RetryPolicy {
  /** Statuses after which the request is tried again. */
  readonly codes: ReadonlySet<number>
  /** After the first try. */
  readonly attempts: number
  /** First waiting time; later ones double. */
  readonly backoffMs: number
}

export type AttemptFailure =
  | { readonly kind: 'status'; readonly status: number }
  /** Nothing of the request was sent: no connection came about. */
  | { readonly kind: 'connect' }
  /** The connection ended, or the answer was not HTTP, before any of the response was passed on. */
  | { readonly kind: 'reset'; readonly reusedConnection: boolean }
  | { readonly kind: 'backend-timeout' }

export type RetryVerdict = 'no' | 'yes'

export interface RetryFacts {
  /** Tries so far, the failed one included. */
  readonly tries: number
  readonly idempotent: boolean
  /** The body is absent or can be sent again from its start. */
  readonly replayable: boolean
  /** Some endpoint has not been tried. */
  readonly otherEndpoint: boolean
}

/** Tries on a dead connection or another endpoint that no user has to ask for. */
const unaskedConnectRetries = 2

/** Judges one failure before any of the response has been passed on. */
export function decideRetry(policy: RetryPolicy | undefined, failure: AttemptFailure, facts: RetryFacts): RetryVerdict {
  const asked = policy !== undefined && facts.tries <= policy.attempts
  switch (failure.kind) {
    case 'connect':
      if (asked) return 'yes'
      // An explicit zero disables these too.
      if (policy !== undefined && policy.attempts === 0) return 'no'
      return facts.otherEndpoint && facts.tries <= unaskedConnectRetries ? 'yes' : 'no'
    case 'status':
      return asked && facts.replayable && policy.codes.has(failure.status) ? 'yes' : 'no'
    case 'backend-timeout':
      return asked && facts.replayable && (policy.codes.has(504) || policy.codes.size === 0) ? 'yes' : 'no'
    case 'reset':
      if (!facts.replayable) return 'no'
      if (asked) return 'yes'
      return failure.reusedConnection && facts.idempotent && facts.tries <= unaskedConnectRetries ? 'yes' : 'no'
  }
}

const defaultBackoffMs = 25
const maxBackoffMs = 100

/**
 * The wait before the next try, in milliseconds, with up to half of it at random. A failed connection is tried at once
 * on another endpoint. Without a `backoff` of the user waits stay at or below 100 ms.
 */
export function retryDelayMs(
  policy: RetryPolicy | undefined,
  failure: AttemptFailure,
  facts: Pick<RetryFacts, 'tries' | 'otherEndpoint'>,
  random: () => number,
): number {
  if (failure.kind === 'connect' && facts.otherEndpoint) return 0
  if (failure.kind === 'reset' && failure.reusedConnection) return 0
  const asked = policy !== undefined && policy.backoffMs > 0
  const first = asked ? policy.backoffMs : defaultBackoffMs
  const limit = asked ? Math.min(longestTimerMs, first * 10) : maxBackoffMs
  const nominal = Math.min(limit, first * 2 ** Math.min(20, facts.tries - 1))
  return nominal * (1 - random() / 2)
}
