// The two ends of one connection, as logs, metrics and dumps show them.
import type { Service, Workload } from '@wishbone/core/mesh'

export interface ConnectionEnd {
  /** ip:port */
  readonly address: string
  readonly workload?: Workload | undefined
  /** SPIFFE URI, only when mutual TLS proved it. */
  readonly identity?: string | undefined
}

export interface ConnectionEnds {
  readonly direction: 'inbound' | 'outbound'
  readonly source: ConnectionEnd
  readonly destination: ConnectionEnd & {
    /** The authority of the tunnel's CONNECT. */
    readonly hboneAddress?: string | undefined
    readonly service?: Service | undefined
  }
  /** Where the client wanted to go. */
  readonly originalDestination: string
}
