// The server's side of a session.
import type tls from 'node:tls'
import type { AcceptHboneOptions, HboneServerSession } from './types.ts'

/** Speaks HBONE on an accepted TLS connection (`acceptTls`). Takes the socket over. */
export function acceptHbone(socket: tls.TLSSocket, options: AcceptHboneOptions): HboneServerSession {
  throw new Error(`not yet: ${socket.remotePort} ${options.settings}`)
}
