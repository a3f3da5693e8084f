// Waits for a TLS handshake, with a deadline, and ends the connection with a reason when it fails.
import type { TLSSocket } from 'node:tls'
import { MeshError, type MeshErrorAt } from '@wishbone/core/errors'

export interface HandshakeOptions {
  readonly event: 'secure' | 'secureConnect'
  readonly at: MeshErrorAt
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  /** Checks the peer when the handshake is done; throws to refuse it. */
  check(socket: TLSSocket): void
}

/** Resolves with the socket after `check`; else destroys it and rejects with a MeshError `tls-failure` or what `check` threw. */
export function handshake(socket: TLSSocket, options: HandshakeOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError).off('close', onClose).off(options.event, onSecure)
    }
    const fail = (error: MeshError) => {
      done()
      socket.on('error', () => undefined) // it may still complain while it is torn down
      socket.destroy()
      reject(error)
    }
    const broken = (message: string, cause?: unknown) =>
      new MeshError('tls-failure', message, { at: options.at, retry: 'no', cause })
    const peer = `${socket.remoteAddress ?? 'a closed connection'}:${socket.remotePort ?? ''}`
    const onError = (cause: Error) => fail(broken(`the TLS handshake with ${peer} failed`, cause))
    const onClose = () => fail(broken(`${peer} closed the connection during the TLS handshake`))
    const onAbort = () => fail(MeshError.from(options.signal?.reason, 'tls-failure', { at: options.at }))
    const onSecure = () => {
      try {
        if (socket.alpnProtocol !== 'h2') throw broken(`${peer} did not agree on HTTP/2 (ALPN h2)`)
        options.check(socket)
      } catch (cause) {
        fail(MeshError.from(cause, 'tls-failure', { at: options.at }))
        return
      }
      done()
      // An error from here on closes the connection, whether or not its user listens already.
      socket.on('error', () => socket.destroy())
      resolve(socket)
    }
    const timer = setTimeout(
      () => fail(broken(`no TLS handshake with ${peer} within ${options.timeoutMs} ms`)),
      options.timeoutMs,
    )
    socket.on('error', onError).on('close', onClose).on(options.event, onSecure)
    if (options.signal?.aborted) onAbort()
    else options.signal?.addEventListener('abort', onAbort)
  })
}
