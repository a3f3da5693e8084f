// Opens one connection to a target: TCP or a tunnel, with TLS of the backend's on top where a policy asks for it.
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import type { UpstreamTls } from '../compile/index.ts'
import { connectTcp } from './connect.ts'
import { checkNames } from './server-names.ts'
import type { Target } from './target.ts'

/** Opens a stream in an HBONE tunnel to the target, with our own certificate. */
export type OpenTunnel = (target: Target, headers: Readonly<Record<string, string>>) => Promise<Duplex>

export type Dialler = (
  target: Target,
  alpn: readonly string[],
  headers?: Readonly<Record<string, string>>,
) => Promise<Duplex>

export interface DiallerOptions {
  readonly openTunnel: OpenTunnel
  readonly connectTimeoutMs: number
  /** The certificate to show to backends; undefined: none. @throws MeshError when it has not arrived */
  readonly clientPair: () => { readonly cert: string; readonly key: string } | undefined
}

/** The dialler rejects with a MeshError that names the target. */
export function createDialler({ openTunnel, connectTimeoutMs, clientPair }: DiallerOptions): Dialler {
  return async (target, alpn, headers = {}) => {
    if (target.tls !== undefined && target.tls.invalid !== '')
      throw new MeshError('tls-failure', `TLS with ${target.label}: ${target.tls.invalid}`, { at: 'upstream' })
    // Before anything is opened that nobody would close.
    const pair = target.tls === undefined ? undefined : clientPair()
    const stream =
      target.tunnel === null
        ? await connectTcp(target, { timeoutMs: connectTimeoutMs })
        : await openTunnel(target, headers)
    // Whoever takes the stream listens too; an error in between must not end the process.
    stream.on('error', () => {})
    if (target.tls === undefined) return stream
    return secure(stream, target, target.tls, { alpn, timeoutMs: connectTimeoutMs, ...pair })
  }
}

function secure(
  stream: Duplex,
  target: Target,
  policy: UpstreamTls,
  { alpn, timeoutMs, ...pair }: { alpn: readonly string[]; timeoutMs: number; cert?: string; key?: string },
): Promise<tls.TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<tls.TLSSocket>()
  const failure = (cause: unknown) =>
    new MeshError('tls-failure', `TLS with ${target.label} as ${policy.hostname}`, { at: 'upstream', cause })
  let socket: tls.TLSSocket
  try {
    socket = tls.connect({
      socket: stream,
      ...pair,
      servername: policy.hostname,
      ALPNProtocols: [...alpn],
      ca: policy.systemCa ? tls.getCACertificates('system') : policy.caPem,
      checkServerIdentity: (_host, certificate) => checkNames(policy, certificate),
    })
  } catch (cause) {
    // node throws at a hostname that is an IP address, and at a certificate and key that are none or not a pair.
    stream.destroy()
    throw failure(cause)
  }
  const fail = (cause: unknown) => {
    reject(failure(cause))
    socket.destroy()
  }
  const timer = setTimeout(() => fail(new Error(`no handshake in ${timeoutMs} ms`)), timeoutMs)
  socket.once('error', fail)
  socket.once('secureConnect', () => {
    clearTimeout(timer)
    socket.off('error', fail)
    resolve(socket)
  })
  promise.catch(() => clearTimeout(timer))
  return promise
}
