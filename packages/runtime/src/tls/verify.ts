// Whether OpenSSL found the peer's chain good. The one place that asks the handle: node:tls answers this in public only for
// clients and for sockets that a tls.Server has accepted.
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
