// Notices a request that stands still because of its client: it owes bytes of its body, or does not take the answer's.
import type { IncomingRequest } from './head.ts'
import type { Responder } from './responder.ts'

export interface Progress {
  /** Bytes of the body that came. */
  readonly received: () => number
  /** Bytes of the answer that were given to the responder. */
  readonly sent: () => number
  /** Client and server talk in both directions at once, each when it likes. */
  readonly isConversation: boolean
}

/**
 * Calls back at most once, after the limit at the earliest and twice the limit at the latest. Answers the way to stop.
 *
 * The limit is for the time between two bytes, not for all of them, as with nginx's client_body_timeout and send_timeout
 * (60 s each). Of an answer what counts is a whole piece as the backend sent it, of at most 64 KiB: who takes it byte by byte
 * takes nothing. Waiting for the backend is no stall: that is bounded by the route's timeouts, where it has some. nginx and
 * Envoy (stream_idle_timeout, 5 min, to be raised or switched off for gRPC) cut quiet streams of both ends too; here a
 * gRPC stream may be quiet for as long as it likes, since whose turn it is cannot be told. What those can cost is bounded
 * by the streams of a connection, the connections, and TCP's keepalive for clients that are gone.
 */
export function watchStall(
  request: IncomingRequest,
  responder: Responder,
  { received, sent, isConversation }: Progress,
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
    if (!stands || !(responder.unsent > 0 || (!isConversation && owesBody(request, responder)))) return
    clearInterval(timer)
    onStall()
  }, limitMs)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * Its body is read as fast as it comes, and the end of it has not come. Nothing is owed before the backend asks for it, nor
 * while the backend does not read, nor when it answers already: the two may be talking.
 */
function owesBody(request: IncomingRequest, responder: Responder): boolean {
  if (responder.awaitsContinue || responder.started) return false
  return !request.complete && request.readableLength === 0 && request.readableFlowing === true
}
