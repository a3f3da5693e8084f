// What a session leaves to its two roles.
import type { MeshError } from '@wishbone/core/errors'
import type { HeaderField } from '@wishbone/core/h2'
import type { H2Stream } from './stream.ts'

/** What differs between the two ends. */
export interface SessionRole {
  readonly kind: 'server' | 'client'
  /** A header block for a stream that is open, or that the peer opens with it. Throws H2Error. */
  headers(streamId: number, fields: readonly HeaderField[], endStream: boolean): void
  /** The list was larger than allowed. */
  headersTooLarge(streamId: number): void
  /** The peer reset a stream. */
  streamReset?(stream: H2Stream): void
  /** The session takes no new streams from here on; called again when it has ended. */
  draining?(): void
  /** A stream has been closed and takes no place any more. */
  streamRemoved?(): void
  /** Called once, after every stream has been told. */
  sessionClosed(error: MeshError | undefined): void
}
