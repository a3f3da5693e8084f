// What to do with an accepted connection once it is known which listener it is for: HTTP, or bytes.
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { Logger } from '@wishbone/runtime/log'
import { type ListenerTable, type Protocol, protocolFor } from '../compile/index.ts'
import type { Passthrough } from '../l4/passthrough.ts'
import type { App } from './app.ts'
import { classify, type Sniffed } from './classify.ts'
import { bindConnection, type Connection, sourceNamespace } from './connection.ts'
import { readFirstBytes } from './first-bytes.ts'
import type { CountRefusal } from './limits.ts'

/** A client of a protocol that is not known has this long to speak before the server is asked to. */
const serverFirstMs = 100

export interface AcceptOptions {
  readonly app: App
  readonly passthrough: Passthrough
  readonly log: Logger
  readonly refused: CountRefusal
  /** For a client that is known to speak first. */
  readonly clientFirstMs: number
}

/** `serverName`: the SNI of a TLS handshake that was seen; undefined: the client may still send one. */
export type Acceptor = (
  stream: Duplex,
  connection: Connection,
  listener: ListenerTable,
  serverName?: string | undefined,
) => void

/** The acceptor owns the stream from the call on; it never throws. */
export function createAcceptor({ app, passthrough, log, refused, clientFirstMs }: AcceptOptions): Acceptor {
  const serve = (
    stream: Duplex,
    connection: Connection,
    { listener, protocol }: { readonly listener: ListenerTable; readonly protocol: Protocol },
    sniffed: SniffResult,
  ) => {
    switch (sniffed) {
      case 'http1':
        return app.serveHttp1(stream)
      case 'http2':
        return app.serveHttp2(stream)
      case 'closed':
        return void stream.destroy()
      case 'tls':
      case 'other':
      case 'silent':
      case 'slow':
        // What says that it is HTTP is held to it: node answers 400.
        if (protocol === 'http' || protocol === 'http2' || listener.bound.kind === 'gateway') {
          if (sniffed === 'other') return app.serveHttp1(stream)
          if (sniffed === 'silent') return void stream.destroy()
          if (sniffed === 'slow') return refuseSlow(stream, connection)
        }
        return passthrough.carry(stream, connection, listener, sniffed === 'tls' ? undefined : '')
    }
  }
  const refuseSlow = (stream: Duplex, { clientIp, clientPort }: Connection) => {
    refused('slow-headers')
    log.info('a connection is closed: bad request', {
      reason: 'the client took too long for its first line',
      client: `${clientIp}:${clientPort}`,
    })
    stream.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    setTimeout(() => stream.destroy(), 1_000).unref()
  }
  return (stream, connection, listener, serverName) => {
    bindConnection(stream, connection)
    const onError = (error: Error) =>
      log.debug('a connection failed', { error: error.message, client: connection.clientIp })
    stream.on('error', onError)
    const protocol = protocolFor(listener, sourceNamespace(connection))
    if (protocol === 'tls') return passthrough.carry(stream, connection, listener, serverName)
    if (protocol === 'tcp') return passthrough.carry(stream, connection, listener, serverName ?? '')
    const speaksFirst = protocol === 'http' || protocol === 'http2' || listener.bound.kind === 'gateway'
    sniff(stream, speaksFirst ? clientFirstMs : serverFirstMs).then(
      (sniffed) => serve(stream, connection, { listener, protocol }, sniffed),
      (cause: unknown) => {
        log.warn('a connection could not be looked at', { error: MeshError.from(cause).describe() })
        stream.destroy()
      },
    )
  }
}

/** What the client speaks; the bytes stay in the stream. 'slow': it has begun to, and time is over. */
type SniffResult = Sniffed | 'silent' | 'slow' | 'closed'

async function sniff(stream: Duplex, timeoutMs: number): Promise<SniffResult> {
  const first = await readFirstBytes(stream, timeoutMs, (bytes) => {
    const value = classify(bytes)
    return value === 'undecided' ? 'more' : { value, taken: 0 }
  })
  if (stream.destroyed) return 'closed'
  if (first.kind === 'decided') return first.value
  if (first.kind === 'silent') return first.bytes.length > 0 ? 'slow' : 'silent'
  return first.bytes.length > 0 ? 'other' : 'closed'
}
