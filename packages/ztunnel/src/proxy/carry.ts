// One connection that is let through, from its way to the other side to its line in the log; the same in every direction.
import { MeshError } from '@wishbone/core/errors'
import type { Connection } from '../report/connection.ts'
import type { Judged, PodScope } from './scope.ts'

export interface Carried {
  readonly connection: Connection
  readonly judged?: Judged
  /** Gets to the other side and copies to the end. `signal`: it is to end before it got there. */
  readonly run: (signal: AbortSignal) => Promise<void>
  /** Lets the client know of a failure, unless bytes already went. */
  readonly refuse: (error: MeshError) => void
}

/** Never rejects. */
export async function carry(pod: PodScope, { connection, judged, run, refuse }: Carried): Promise<void> {
  const abort = new AbortController()
  connection.onAbort((reason) => abort.abort(reason))
  pod.add(connection, judged)
  try {
    await run(abort.signal)
  } catch (cause) {
    const reason: unknown = abort.signal.aborted ? abort.signal.reason : cause
    const error = MeshError.from(reason, 'connect-failed', { at: 'upstream' })
    refuse(error)
    connection.end(error)
  } finally {
    pod.remove(connection)
  }
}
