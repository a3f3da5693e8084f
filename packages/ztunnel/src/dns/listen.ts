// The DNS listeners of one pod: 127.0.0.1 and ::1, port 15053, UDP and TCP.
import dgram from 'node:dgram'
import net from 'node:net'
import { ports } from '@wishbone/core/names'
import { listenIn, udpIn } from '@wishbone/runtime/os'
import type { PodScope } from '../proxy/scope.ts'
import { forwardQuery, readNameservers, type Transport } from './forward.ts'
import { DnsFrames, frameOf } from './frames.ts'

export interface DnsListeners {
  close(): void
}

/** How many queries of one pod may wait for upstream; more are dropped, as a full socket buffer would. */
const maxPending = 512
const idleMs = 10_000
const lastAnswersMs = 2_000

/** Opens the listeners. A pod without IPv6 has none on ::1, and that is no error. */
export async function listenDns(pod: PodScope, ipv6: boolean): Promise<DnsListeners> {
  const closers: (() => void)[] = []
  const close = (): void => {
    for (const closer of closers.splice(0)) closer()
  }
  try {
    for (const ip of ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      try {
        closers.push(await listenUdp(pod, ip))
        closers.push(await listenTcp(pod, ip))
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code
        if (ip !== '::1' || (code !== 'EADDRNOTAVAIL' && code !== 'EAFNOSUPPORT')) throw cause
      }
    }
  } catch (cause) {
    close()
    throw cause
  }
  return { close }
}

async function listenUdp(pod: PodScope, ip: string): Promise<() => void> {
  const fd = udpIn(pod.nsFd, { ip, port: ports.dns, mark: pod.context.settings.mark, reusePort: true })
  const socket = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4')
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
  // What was asked is still answered, if the answer comes soon.
  return () => {
    leaving = true
    finish()
    if (!closed) setTimeout(() => finish(true), lastAnswersMs).unref()
  }
}

async function listenTcp(pod: PodScope, ip: string): Promise<() => void> {
  const fd = listenIn(pod.nsFd, { ip, port: ports.dns, reusePort: true, ipv6Only: true })
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    const frames = new DnsFrames()
    let pending = 0
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      for (const query of frames.push(chunk as Buffer)) {
        if (pending >= maxPending) return void socket.destroy()
        pending++
        void resolve(pod, query, 'tcp').then((answer) => {
          pending--
          if (answer === undefined) socket.destroy()
          else if (!socket.destroyed) socket.write(frameOf(answer))
        })
      }
    })
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen({ fd }, resolve))
  return () => {
    server.close()
    for (const socket of sockets) socket.destroy()
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
