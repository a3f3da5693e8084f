// The DNS listeners of one pod: 127.0.0.1 and ::1, port 15053, UDP and TCP.
import dgram from 'node:dgram'
import net from 'node:net'
import { ports } from '@wishbone/core/names'
import { listenIn, udpIn } from '@wishbone/runtime/os'
import { type Arrivals, givePrecedence, giveWay } from '../proxy/precedence.ts'
import type { PodScope } from '../proxy/scope.ts'
import { forwardQuery, readNameservers, type Transport } from './forward.ts'
import { DnsFrames, frameOf } from './frames.ts'

export interface DnsListeners {
  /** Lets the other ztunnel have everything new; settles when nothing new has come for a moment. */
  giveWay(): Promise<void>
  /** What was asked is still answered, if the answer comes soon. */
  close(): void
}

/** Some thousand queries: a query that finds no room costs its client seconds, which a busy moment here must not. */
const receiveBuffer = 4 << 20
/** How many queries of one pod may wait for upstream; more are dropped, as a full socket buffer would. */
const maxPending = 512
/** Bytes of answers that a client over TCP may leave unread before it is cut off. */
const maxUnread = 1 << 20
const idleMs = 10_000
const lastAnswersMs = 2_000

/**
 * Opens the listeners. A pod without IPv6 has none on ::1, and that is no error; one whose loopback is still down (the container
 * runtime may bring it up at the same time) gets its address later.
 */
export async function listenDns(pod: PodScope, ipv6: boolean): Promise<DnsListeners> {
  const listeners: DnsListeners[] = []
  const close = (): void => {
    for (const listener of listeners.splice(0)) listener.close()
  }
  try {
    for (const ip of ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      try {
        listeners.push(await listenUdp(pod, ip))
        listeners.push(await listenTcp(pod, ip))
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code
        if (ip !== '::1' || (code !== 'EADDRNOTAVAIL' && code !== 'EAFNOSUPPORT')) throw cause
      }
    }
  } catch (cause) {
    close()
    throw cause
  }
  const giveWay = async (): Promise<void> => {
    await Promise.all(listeners.map((listener) => listener.giveWay()))
  }
  return { giveWay, close }
}

async function listenUdp(pod: PodScope, ip: string): Promise<DnsListeners> {
  const { mark } = pod.context.settings
  const fd = udpIn(pod.nsFd, { ip, port: ports.dns, mark, reusePort: true, freeBind: true, receiveBuffer })
  const socket = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4')
  const arrivals: Arrivals = { count: 0 }
  let pending = 0
  let leaving = false
  let closed = false
  const finish = (now = false): void => {
    if (closed || !(now || (leaving && pending === 0))) return
    closed = true
    socket.close()
  }
  socket.on('error', () => undefined)
  socket.on('message', (query, from) => {
    arrivals.count++
    // A forged packet may come from port 0, to which nothing can be sent.
    if (pending >= maxPending || from.port === 0) return
    pending++
    void resolve(pod, query, 'udp').then((answer) => {
      pending--
      if (answer !== undefined && !closed) socket.send(answer, from.port, from.address, () => finish())
      else finish()
    })
  })
  await new Promise<void>((resolve) => socket.bind({ fd }, resolve))
  givePrecedence(fd)
  return {
    giveWay: () => giveWay(fd, arrivals),
    close() {
      leaving = true
      finish()
      if (!closed) setTimeout(() => finish(true), lastAnswersMs).unref()
    },
  }
}

async function listenTcp(pod: PodScope, ip: string): Promise<DnsListeners> {
  const fd = listenIn(pod.nsFd, { ip, port: ports.dns, reusePort: true, freeBind: true, ipv6Only: true })
  const arrivals: Arrivals = { count: 0 }
  const sockets = new Map<net.Socket, number>()
  /** Of all connections together: each may be a socket to a nameserver. */
  let waiting = 0
  let leaving = false
  const server = net.createServer({ noDelay: true }, (socket) => {
    arrivals.count++
    sockets.set(socket, 0)
    const frames = new DnsFrames()
    const pending = (change: number): number => {
      const now = (sockets.get(socket) ?? 0) + change
      if (sockets.has(socket)) sockets.set(socket, now)
      return now
    }
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      for (const query of frames.push(chunk as Buffer)) {
        if (waiting >= maxPending) return void socket.destroy()
        waiting++
        pending(1)
        void resolve(pod, query, 'tcp').then((answer) => {
          waiting--
          const left = pending(-1)
          if (answer === undefined || socket.writableLength > maxUnread) socket.destroy()
          else if (!socket.destroyed) socket.write(frameOf(answer))
          if (leaving && left === 0) socket.end()
        })
      }
    })
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen({ fd }, resolve))
  givePrecedence(fd)
  return {
    giveWay: () => giveWay(fd, arrivals),
    close() {
      leaving = true
      server.close()
      for (const [socket, pending] of sockets) if (pending === 0) socket.end()
      setTimeout(() => {
        for (const socket of sockets.keys()) socket.destroy()
      }, lastAnswersMs).unref()
    },
  }
}

async function resolve(pod: PodScope, query: Buffer, transport: Transport): Promise<Buffer | undefined> {
  // A pod that the controller does not show yet gets the cluster's own answers: names are no secret.
  const client = pod.knownWorkload()
  try {
    return await pod.context.dns.answer(query, client, transport, (bytes, via) =>
      forwardQuery(bytes, via, {
        nsFd: pod.nsFd,
        mark: pod.context.settings.mark,
        nameservers: readNameservers(),
        signal: pod.signal,
      }),
    )
  } catch (cause) {
    pod.context.log.debug('a DNS query has failed', { error: String(cause) })
    return undefined
  }
}
