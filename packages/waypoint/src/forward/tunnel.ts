// Tunnels to workloads, with the waypoint's own certificate. Sessions are shared by all requests for one workload.
import type tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'
import type { WorkloadCertificate } from '@wishbone/runtime/certificates'
import { type HbonePool, toDuplex } from '@wishbone/runtime/hbone'
import { connectTls } from '@wishbone/runtime/tls'
import { connectTcp } from './connect.ts'
import type { OpenTunnel } from './dial.ts'

export interface TunnelOptions {
  readonly pool: HbonePool
  readonly certificate: () => Promise<WorkloadCertificate>
  readonly connectTimeoutMs: number
  /** Sent with each CONNECT: who we are. */
  readonly baggage: () => string
}

const blocked = { code: 'network-policy', hint: 'a NetworkPolicy may block port 15008' } as const

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
      connectTcp({ host, port }, { timeoutMs: connectTimeoutMs, signal, onTimeout: blocked }).then((socket) =>
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
