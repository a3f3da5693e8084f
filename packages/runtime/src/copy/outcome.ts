// When both halves of a copy are over, and how it ended.
import { MeshError } from '@wishbone/core/errors'

/** System errors that are the ordinary end of a TCP connection, not worth an error in a log (ambient wire §1.8). */
const ordinary: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNRESET', 'EPIPE'])

/** The error of a socket, as a result reports it: undefined for the ordinary ones. */
export function reportable(cause: Error, at: 'downstream' | 'upstream'): MeshError | undefined {
  const code = (cause as NodeJS.ErrnoException).code
  if (code !== undefined && ordinary.has(code)) return undefined
  return MeshError.from(cause, at === 'upstream' ? 'backend-reset' : 'client-closed', { at })
}

/** The error of a socket, as the other side of the copy is told: always one. */
export function brokenBy(cause: Error | undefined): MeshError {
  return new MeshError('client-closed', 'the application reset its connection', cause === undefined ? {} : { cause })
}
