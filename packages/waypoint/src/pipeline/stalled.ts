// Notices a request that stands still because of its client: it owes bytes of its body, or does not take the answer's.
// A slow backend is not its fault, and has the route's timeouts.
import type { IncomingRequest } from './head.ts'
import type { Responder } from './responder.ts'

export interface Progress {
  /** Bytes of the body that came. */
  readonly received: () => number
  /** Bytes of the answer that were given to the responder. */
  readonly sent: () => number
}

/** Calls back at most once, after the limit at the earliest and twice the limit at the latest. Answers the way to stop. */
export function watchStall(
  request: IncomingRequest,
  responder: Responder,
  { received, sent }: Progress,
  limitMs: number,
  onStall: () => void,
): () => void {
  const progress = () => `${received()} ${sent()} ${responder.unsent}`
  let seen = ''
  // Timers of sockets and sessions would be wound up by whatever else the client does on its connection.
  const timer = setInterval(() => {
    const now = progress()
    const stands = now === seen
    seen = now
    if (!stands || !(owesBody(request, responder) || responder.unsent > 0)) return
    clearInterval(timer)
    onStall()
  }, limitMs)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * Its body is read as fast as it comes, and the end of it has not come. Nothing is owed before the backend asks for it, nor when
 * it answers already: the two may be talking.
 */
function owesBody(request: IncomingRequest, responder: Responder): boolean {
  if (responder.awaitsContinue || responder.started) return false
  return !request.complete && request.readableLength === 0 && request.readableFlowing === true
}
