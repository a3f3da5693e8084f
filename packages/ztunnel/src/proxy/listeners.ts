// The sockets that a proxy listens on inside its pod's namespace, wrapped for node:net.
import net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { closeFd, listenIn } from '@wishbone/runtime/os'
import { type Arrivals, givePrecedence, giveWay } from './precedence.ts'

export interface PodListener {
  /** Lets the other ztunnel have everything new; settles when nothing new has come for a moment. */
  giveWay(): Promise<void>
  /** Stops accepting; what was accepted lives on. Settles when the socket is closed. */
  close(): Promise<void>
}

/**
 * Listens on every address of the namespace. With `ipv6` on [::], which takes IPv4 too; a pod without IPv6 gets 0.0.0.0.
 * Accepted sockets are half-open, without delay, and do not read until somebody takes them over.
 */
export async function listenWildcard(
  nsFd: number,
  port: number,
  ipv6: boolean,
  onConnection: (socket: net.Socket) => void,
): Promise<PodListener> {
  const fd = openWildcard(nsFd, port, ipv6)
  const arrivals: Arrivals = { count: 0 }
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    arrivals.count++
    // Until somebody takes the socket over, its errors have nobody else to go to.
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  const close = await listenOn(server, fd, `port ${port}`)
  givePrecedence(fd)
  return { giveWay: () => giveWay(fd, arrivals), close }
}

/** Lets a server listen on a descriptor that is listening already; closes the descriptor if that fails. Returns its close. */
async function listenOn(server: net.Server, fd: number, about: string): Promise<() => Promise<void>> {
  const ready = Promise.withResolvers<void>()
  server.once('error', ready.reject)
  server.listen({ fd }, ready.resolve)
  try {
    await ready.promise
  } catch (cause) {
    closeFd(fd)
    throw new MeshError('internal', `cannot listen on ${about}`, { cause })
  }
  server.off('error', ready.reject)
  // An accept that fails (no descriptors left) must not end the process; the next one may work.
  server.on('error', () => undefined)
  return () => new Promise((resolve) => server.close(() => resolve()))
}

function openWildcard(nsFd: number, port: number, ipv6: boolean): number {
  if (ipv6) {
    try {
      return listenIn(nsFd, { ip: '::', port, reusePort: true })
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw cause
    }
  }
  return listenIn(nsFd, { ip: '0.0.0.0', port, reusePort: true })
}
