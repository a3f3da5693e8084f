// The client's side of mesh TLS.
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import type { WorkloadCertificate } from '../certificates/certificate.ts'
import { handshake } from './handshake.ts'
import { peerUris } from './peer.ts'
import { chainError } from './verify.ts'

export interface ConnectTlsOptions {
  /** Of the workload on whose behalf the connection is made. */
  readonly certificate: WorkloadCertificate
  /** The server must be one of these, exactly. An empty list accepts nobody. */
  readonly expectedIdentities: readonly string[]
  /** Default 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * TLS 1.3 with ALPN h2 and no SNI. The server's certificate must chain to the roots that came with our own, and have a URI SAN that
 * equals one of the expected identities; DNS names do not count (ambient wire §1.7). Takes the connected socket, or the tunnel of HBONE in HBONE, over;
 * on failure it is closed. Rejects with MeshError `tls-failure` or `identity-mismatch`.
 */
export async function connectTls(socket: Duplex, options: ConnectTlsOptions): Promise<tls.TLSSocket> {
  if (socket instanceof net.Socket) socket.setNoDelay(true)
  const secure = tls.connect({
    socket,
    secureContext: options.certificate.secureContext(),
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    // Names are the business of checkServer below: node's own check knows only host names.
    checkServerIdentity: () => undefined,
  })
  return handshake(secure, {
    event: 'secureConnect',
    at: 'upstream',
    timeoutMs: options.timeoutMs ?? 10_000,
    ...(options.signal && { signal: options.signal }),
    check: () => checkServer(secure, options.expectedIdentities),
  })
}

function checkServer(socket: tls.TLSSocket, expected: readonly string[]): void {
  const cause = socket.authorized ? chainError(socket) : (socket.authorizationError ?? new Error('not authorized'))
  if (cause !== undefined)
    throw new MeshError('tls-failure', "the server's certificate is not accepted", { at: 'upstream', cause })
  const uris = peerUris(socket)
  if (!uris.some((uri) => expected.includes(uri))) {
    throw new MeshError(
      'identity-mismatch',
      `the server is ${uris.join(', ') || 'nobody'}, expected ${expected.join(' or ') || 'nobody'}`,
      {
        at: 'upstream',
        hint: 'the workload behind the address may have changed, or the address belongs to somebody else',
      },
    )
  }
}
