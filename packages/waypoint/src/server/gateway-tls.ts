// The first flight of a TLS port: the server name chooses the listener, and the listener what becomes of the connection:
// TLS is ended here, with the certificate for that name, or the bytes are passed on as they are.
import type net from 'node:net'
import tls from 'node:tls'
import type { Logger } from '@wishbone/runtime/log'
import { chainError } from '@wishbone/runtime/tls'
import { type ListenerTable, type PortTable, selectListener } from '../compile/index.ts'
import type { Certificates } from './certificates.ts'
import { readClientHello, serverNameOf } from './client-hello.ts'
import type { CountRefusal } from './limits.ts'

const handshakeMs = 10_000

export interface GatewayTlsOptions {
  readonly table: PortTable
  readonly certificates: Certificates
  readonly log: Logger
  readonly refused: CountRefusal
}

export interface GatewayTlsHandlers {
  readonly onSecure: (secure: tls.TLSSocket, listener: ListenerTable, serverName: string) => void
  /** The ClientHello is still in the stream. */
  readonly onPassthrough: (socket: net.Socket, listener: ListenerTable, serverName: string) => void
}

/** Calls back once, with the stream; a connection that comes to nothing is closed and logged. */
export function acceptGatewayTls(
  socket: net.Socket,
  { table, certificates, log, refused }: GatewayTlsOptions,
  { onSecure, onPassthrough }: GatewayTlsHandlers,
): void {
  const refuse = (reason: string, fields: Record<string, unknown> = {}) => {
    refused('tls')
    log.info('a connection is closed: TLS', { reason, client: socket.remoteAddress, port: table.port, ...fields })
    socket.destroy()
  }
  const begin = (hello: Buffer) => {
    if (hello.length === 0) return void socket.destroy()
    if (hello[0] !== 0x16) return refuse('the client does not speak TLS')
    const serverName = serverNameOf(hello)
    const listener = selectListener(table, serverName)
    // Closed before any alert is written: a name that nothing listens for does not exist here.
    if (listener === undefined) return refuse('no listener has this server name', { serverName })
    if (listener.tls === null) return onPassthrough(socket, listener, serverName)
    const context = certificates.contextOf(listener, serverName)
    if (context === undefined) return refuse('the listener has no usable certificate', { listener: listener.name })
    const validation = listener.tls.clientValidation
    const secure = new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      requestCert: validation !== undefined,
      rejectUnauthorized: validation !== undefined && !validation.insecureFallback,
      ...(listener.protocol === 'https' ? { ALPNProtocols: ['h2', 'http/1.1'] } : {}),
    })
    const timer = setTimeout(() => refuse('the handshake took too long'), handshakeMs)
    secure.once('close', () => clearTimeout(timer))
    let established = false
    secure.on('error', (error: Error & { readonly code?: string }) => {
      // Who hangs up, in whatever way, is not refused; and what goes wrong later is the business of whoever has the stream.
      if (!established && error.code !== 'ECONNRESET') refuse('the handshake failed', { detail: error.message })
      else log.debug('a TLS connection ended', { error: error.message, client: socket.remoteAddress, port: table.port })
    })
    secure.once('secure', () => {
      clearTimeout(timer)
      established = true
      const problem = validation === undefined || validation.insecureFallback ? undefined : chainError(secure)
      if (problem !== undefined)
        return refuse("the client's certificate is not accepted", { detail: problem.message })
        // tls.Server clears this for its own sockets; node:http2 waits for it.
      ;(secure as unknown as { secureConnecting: boolean }).secureConnecting = false
      onSecure(secure, listener, serverName)
    })
  }
  readClientHello(socket, handshakeMs)
    .then(begin)
    .catch((cause: Error) => refuse('what the client sent could not be handled', { detail: cause.message }))
}
