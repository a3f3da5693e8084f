// What every byte copy reports, whether over plain TCP or through a tunnel.
import type { MeshError } from '@wishbone/core/errors'

/** Live counters of one copied connection, in payload bytes, and the way to end it early. */
export interface Copy {
  /** Bytes read from the first side and handed to the second: for a tunnel, socket to tunnel. */
  readonly sent: number
  /** Bytes the other way: for a tunnel, tunnel to socket. */
  readonly received: number
  /** Settles once, when both directions have ended; never rejects. */
  readonly done: Promise<CopyResult>
  /** Resets both sides now; `done` then reports `reason`. A no-op after the end. */
  close(reason: MeshError): void
}

/** The end of a copied connection. `error` is absent after an orderly end and after a peer's reset (ambient wire §1.8). */
export interface CopyResult {
  readonly sent: number
  readonly received: number
  readonly error?: MeshError
}
