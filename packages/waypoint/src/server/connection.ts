// What is known of the connection that requests arrive on: who the client is, and where it wanted to go.

import type { Duplex } from 'node:stream'
import type { Baggage } from '@wishbone/core/hbone'
import type { SpiffeId } from '@wishbone/core/identity'
import type { IpBytes } from '@wishbone/core/ip'

/** Where the connection was bound for. */
export type Destination =
  /** To a Service's or workload's listener of a waypoint, by its name. */
  | { readonly kind: 'waypoint'; readonly listener: string; readonly authority: string; readonly port: number }
  /** To a port of a gateway. `sni` is the listener that the TLS handshake chose. */
  | { readonly kind: 'gateway'; readonly port: number; readonly sni: string | undefined }

export interface Connection {
  readonly destination: Destination
  readonly scheme: 'http' | 'https'
  readonly clientIp: string
  readonly clientPort: number
  readonly clientIpBytes: IpBytes
  /** Address that the client connected to: a Service's, a workload's or the gateway's own. */
  readonly destinationIp: IpBytes
  /** From the client's certificate; undefined outside the mesh. */
  readonly peer: SpiffeId | undefined
  /** What the client says about itself, for telemetry only. */
  readonly baggage: Baggage
  /** How many proxies in front of us are trusted to say who the client is; of a gateway. */
  readonly trustedHops: number
  /** The port that the client connected to, as redirects and logs show it. */
  readonly port: number
  /** Added to ports below 1024 where clients must ask for others; 0 when absent. */
  readonly portOffset?: number
  /** Remembered by the reporter: labels of the source. */
  sourceLabels: unknown
}

const connections = new WeakMap<object, Connection>()

/** Ties what is known to the stream that a server reads from. */
export function bindConnection(stream: Duplex, connection: Connection): void {
  connections.set(stream, connection)
}

export function connectionOf(stream: object | null | undefined): Connection | undefined {
  return stream === null || stream === undefined ? undefined : connections.get(stream)
}

/** "ip:port" of the stream's client, for logs. */
export function clientOf(stream: object | null | undefined): string | undefined {
  const connection = connectionOf(stream)
  return connection === undefined ? undefined : `${connection.clientIp}:${connection.clientPort}`
}

/** Namespace of the client for consumer routes: from its certificate only, never from what it says. */
export function sourceNamespace(connection: Connection): string | undefined {
  return connection.peer?.namespace
}
