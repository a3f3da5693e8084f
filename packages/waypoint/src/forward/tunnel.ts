// Tunnels to workloads, with the waypoint's own certificate. Sessions are shared by all requests for one workload.
import net from 'node:net'
import type tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'
import type { WorkloadCertificate } from '@wishbone/runtime/certificates'
import { type HbonePool, toDuplex } from '@wishbone/runtime/hbone'
import { connectTls } from '@wishbone/runtime/tls'
import type { OpenTunnel } from './dial.ts'

export interface TunnelOptions {
  readonly pool: HbonePool
  readonly certificate: () => Promise<WorkloadCertificate>
  readonly connectTimeoutMs: number
  /** Sent with each CONNECT: who we are. */
  readonly baggage: () => string
}

export function createOpenTunnel({ pool, certificate, connectTimeoutMs, baggage }: TunnelOptions): OpenTunnel {
  return async ({ host, port, tunnel }, headers) => {
    if (tunnel === null) throw new MeshError('internal', 'the target takes no tunnel')
    const own = await certificate()
    const key = {
      sourceIdentity: own.identity,
      expectedIdentities: tunnel.expectedIdentities,
      sourceIp: '',
      destination: formatSocketAddress(host, port),
    }
    const dial = (signal: AbortSignal): Promise<tls.TLSSocket> =>
      connect(host, port, connectTimeoutMs, signal).then((socket) =>
        connectTls(socket, { certificate: own, expectedIdentities: tunnel.expectedIdentities, signal }),
      )
    const self = baggage()
    const stream = await pool.connect(
      key,
      tunnel.authority,
      self === '' ? headers : { baggage: self, ...headers },
      dial,
    )
    return toDuplex(stream)
  }
}

function connect(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>()
  const socket = net.connect({ host, port, noDelay: true, allowHalfOpen: true, signal })
  const timer = setTimeout(() => {
    socket.destroy()
    reject(
      new MeshError('network-policy', `${host}:${port} did not answer in ${timeoutMs} ms`, {
        at: 'upstream',
        retry: 'yes',
        hint: 'a NetworkPolicy may block port 15008',
      }),
    )
  }, timeoutMs)
  const onError = (cause: Error) => {
    clearTimeout(timer)
    reject(new MeshError('connect-failed', `connecting to ${host}:${port}`, { at: 'upstream', retry: 'yes', cause }))
  }
  socket.once('error', onError)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.off('error', onError)
    socket.on('error', () => {})
    resolve(socket)
  })
  return promise
}
