// The server's side of mesh TLS. There is no way to accept a connection without these checks.
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { parseSpiffe } from '@wishbone/core/identity'
import type { WorkloadCertificate } from '../certificates/certificate.ts'
import { handshake } from './handshake.ts'
import { peerUris } from './peer.ts'
import { chainError, finishServer } from './verify.ts'

export interface AcceptTlsOptions {
  /** Of the workload that the connection is for; ask for it anew for every connection. */
  readonly certificate: WorkloadCertificate
  /** Clients must have an identity of it. */
  readonly trustDomain: string
  /** Default 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * TLS 1.3 with ALPN h2 and a mandatory client certificate, which must chain to the roots of our own certificate and have a URI SAN
 * of our trust domain (ambient wire §1.7). Takes the socket over; on failure it is closed.
 * Rejects with MeshError `tls-failure` or `identity-mismatch`.
 */
export async function acceptTls(socket: Duplex, options: AcceptTlsOptions): Promise<tls.TLSSocket> {
  if (socket instanceof net.Socket) socket.setNoDelay(true)
  const secure = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: options.certificate.secureContext(),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
  })
  return handshake(secure, {
    event: 'secure',
    at: 'downstream',
    timeoutMs: options.timeoutMs ?? 10_000,
    ...(options.signal && { signal: options.signal }),
    check: () => {
      checkClient(secure, options.trustDomain)
      finishServer(secure)
    },
  })
}

function checkClient(socket: tls.TLSSocket, trustDomain: string): void {
  const cause = chainError(socket)
  if (cause !== undefined) {
    throw new MeshError('tls-failure', "the client's certificate is not accepted", { at: 'downstream', cause })
  }
  const uris = peerUris(socket)
  if (!uris.some((uri) => parseSpiffe(uri)?.trustDomain === trustDomain)) {
    throw new MeshError(
      'identity-mismatch',
      `the client is ${uris.join(', ') || 'nobody'}, not of the trust domain ${trustDomain}`,
      {
        at: 'downstream',
      },
    )
  }
}
