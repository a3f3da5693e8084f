// The TCP port of the gRPC server: who connects too often is turned away before TLS costs anything.
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../log.ts'

export interface ListenOptions {
  /** Empty: every address of this machine, IPv6 too where there is IPv6. */
  readonly host: string
  readonly port: number
  /** Connections at a time from one address. A proxy has two: configuration and certificates. */
  readonly perPeer: number
  readonly total: number
  readonly log: Log
  readonly onConnection: (socket: Socket) => void
}

export interface Listening extends Disposable {
  readonly port: number
}

/** One line for a peer and minute. */
const complainMs = 60_000

/** Rejects if the address cannot be had. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { host, port, perPeer, total, log, onConnection } = options
  const open = new Map<string, number>()
  const complained = new Map<string, number>()
  const sockets = new Set<Socket>()
  const take = (socket: Socket): void => {
    const peer = socket.remoteAddress ?? ''
    const count = open.get(peer) ?? 0
    if (count >= perPeer || sockets.size >= total) {
      socket.destroy()
      if (performance.now() - (complained.get(peer) ?? Number.NEGATIVE_INFINITY) < complainMs) return
      if (complained.size > 1_000) complained.clear()
      complained.set(peer, performance.now())
      log.warn('turned a connection away: too many are open', { peer, ofPeer: count, ofAll: sockets.size })
      return
    }
    open.set(peer, count + 1)
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      sockets.delete(socket)
      const left = (open.get(peer) ?? 1) - 1
      if (left > 0) open.set(peer, left)
      else open.delete(peer)
    })
    onConnection(socket)
  }
  const bind = (address: string): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, take)
      server.once('error', reject)
      server.listen({ host: address, port }, () => {
        server.off('error', reject)
        server.on('error', (cause) => log.warn('cannot accept a connection', { error: cause }))
        resolve(server)
      })
    })
  const server = host === '' ? await bind('::').catch(() => bind('0.0.0.0')) : await bind(host)
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    [Symbol.dispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
