// Who is at the other end of a TLS connection, from its certificate alone.
import type { TLSSocket } from 'node:tls'
import { parseSpiffe, type SpiffeId } from '@wishbone/core/identity'
import { parseSubjectAltName } from '../certificates/x509.ts'

/** URI SANs of the peer's leaf, in its order; empty without a certificate. */
export function peerUris(socket: TLSSocket): readonly string[] {
  return parseSubjectAltName(socket.getPeerX509Certificate()?.subjectAltName).uris
}

/** The first URI SAN that is an identity (ambient wire §1.3). Only meaningful after acceptTls or connectTls. */
export function peerIdentity(socket: TLSSocket): SpiffeId | undefined {
  for (const uri of peerUris(socket)) {
    const identity = parseSpiffe(uri)
    if (identity !== undefined) return identity
  }
  return undefined
}
