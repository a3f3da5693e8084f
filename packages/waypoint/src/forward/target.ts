// Where one request goes: an address, and how to get there.

import type { IpBytes } from '@wishbone/core/ip'
import type { Service, Workload } from '@wishbone/core/mesh'
import type { EndpointLoad } from '@wishbone/core/picker'
import type { Protocol, UpstreamTls } from '../compile/index.ts'

export interface Target {
  /** Tells pools of connections apart. */
  readonly key: string
  /** Address of the TCP connection; a hostname for workloads that have no address. */
  readonly host: string
  readonly port: number
  /** Null: plain TCP. */
  readonly tunnel: Tunnelling | null
  readonly tls: UpstreamTls | undefined
  readonly protocol: Protocol
  readonly load: EndpointLoad
  readonly workload: Workload
  readonly service: Service | undefined
  /** What the workload's policies are judged by. */
  readonly destinationIp: IpBytes
  readonly destinationPort: number
  /** "ip:port" of the application, for logs. */
  readonly label: string
}

export interface Tunnelling {
  readonly authority: string
  /** SPIFFE URIs of which the other end must prove one. */
  readonly expectedIdentities: readonly string[]
}
