// The TLS handshake of an HTTPS port: the server name chooses the listener, and the listener the certificate.
import type net from 'node:net'
import tls from 'node:tls'
import type { Logger } from '@wishbone/runtime/log'
import { type ListenerTable, type PortTable, selectListener } from '../compile/index.ts'
import type { Certificates } from './certificates.ts'
import { serverNameOf } from './classify.ts'
import { peek } from './peek.ts'

const handshakeMs = 10_000

export interface GatewayTlsOptions {
  readonly table: PortTable
  readonly certificates: Certificates
  readonly log: Logger
}

/** Calls back with the decrypted stream; a connection that comes to nothing is closed and logged. */
export function acceptGatewayTls(
  socket: net.Socket,
  { table, certificates, log }: GatewayTlsOptions,
  onSecure: (secure: tls.TLSSocket, listener: ListenerTable) => void,
): void {
  const refuse = (reason: string, fields: Record<string, unknown> = {}) => {
    log.info('a connection is closed: TLS', { reason, client: socket.remoteAddress, port: table.port, ...fields })
    socket.destroy()
  }
  void peek(socket, handshakeMs).then((hello) => {
    if (hello.length === 0) return void socket.destroy()
    if (hello[0] !== 0x16) return refuse('the client does not speak TLS')
    const serverName = serverNameOf(hello)
    const listener = selectListener(table, serverName)
    // Closed before any alert is written: a name that nothing listens for does not exist here.
    if (listener === undefined) return refuse('no listener has this server name', { serverName })
    const context = certificates.contextOf(listener.certificates)
    if (context === undefined) return refuse('the listener has no usable certificate', { listener: listener.name })
    const secure = new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: ['h2', 'http/1.1'],
    })
    const timer = setTimeout(() => refuse('the handshake took too long'), handshakeMs)
    secure.once('close', () => clearTimeout(timer))
    secure.on('error', (error) => refuse('the handshake or connection failed', { detail: error.message }))
    secure.once('secure', () => {
      clearTimeout(timer)
      // tls.Server clears this for its own sockets; node:http2 waits for it.
      ;(secure as unknown as { secureConnecting: boolean }).secureConnecting = false
      onSecure(secure, listener)
    })
  })
}
