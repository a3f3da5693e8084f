// What tls.Server does to a socket that it accepts, for sockets that have no tls.Server (each of ours has a certificate of its own):
// ask OpenSSL whether the peer's chain is good, and make TLS errors from then on errors of the socket. The one place that touches
// these internals of node:tls; where they are missing, nothing is accepted.
import type { TLSSocket } from 'node:tls'

interface VerifyingHandle {
  verifyError(): Error | null | undefined
}

/** The reason why the peer's certificate does not count, undefined when it does. An unknown answer counts as a reason. */
export function chainError(socket: TLSSocket): Error | undefined {
  const handle = (socket as unknown as { readonly _handle?: Partial<VerifyingHandle> | null })._handle
  if (typeof handle?.verifyError !== 'function')
    return new Error('the TLS connection is gone, or this Node cannot tell')
  if (socket.getPeerX509Certificate() === undefined) return new Error('the peer has sent no certificate')
  return handle.verifyError() ?? undefined
}

interface ServerInternals {
  secureConnecting: boolean
  _releaseControl(): boolean
}

/** Ends the handshake phase of a server's socket. Throws if it is over already or this Node cannot. */
export function finishServer(socket: TLSSocket): void {
  const internals = socket as unknown as Partial<ServerInternals>
  if (typeof internals._releaseControl !== 'function' || !internals._releaseControl()) {
    throw new Error('the TLS connection cannot be handed over')
  }
  internals.secureConnecting = false
}
