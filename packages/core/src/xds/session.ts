// stub
import type { ResourceSet, SessionInput, SessionOutput } from './types.ts'

export interface SessionOptions {
  /** What to send; without it answers wait for the first `resources` input. */
  readonly resources?: ResourceSet
  /** Types that this client is known to subscribe to; a type waits until the expected ones before it were answered. */
  readonly expects?: readonly string[]
  /** Groups an on-demand client gets without asking: `node:<its node>`. */
  readonly groups?: readonly string[]
}

export interface Session {
  readonly options: SessionOptions
}

export function createSession(options: SessionOptions = {}): Session {
  return { options }
}

export function step(session: Session, _input: SessionInput): [Session, readonly SessionOutput[]] {
  return [session, []]
}
