// How much one client may ask of the proxy before it is refused. Every refusal is counted by its reason.
import type { Metrics } from '@wishbone/runtime/metrics'

export interface Limits {
  /** Of a gateway, all ports together. */
  readonly maxConnections: number
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  /** Requests of HTTP/1 connections that wait for others before them on the same, of all connections together. */
  readonly maxPipelined: number
  /** Of one HTTP/2 connection. */
  readonly maxConcurrentStreams: number
  /** For the whole head of a request, and for what begins an HTTP/2 connection. */
  readonly headersTimeoutMs: number
  /** Without a byte from a client that owes us one of its body, or that does not take what it asked for: pipeline/stalled.ts. */
  readonly stallTimeoutMs: number
  /** Between requests on a connection, which is without an open stream then. */
  readonly idleTimeoutMs: number
}

export const defaultLimits: Limits = {
  maxConnections: 20_000,
  maxHeaderBytes: 65_536,
  maxHeaders: 1_000,
  maxPipelined: 10_000,
  maxConcurrentStreams: 256,
  headersTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  idleTimeoutMs: 75_000,
}

export type Refusal =
  | 'too-many-connections'
  | 'slow-headers'
  | 'stalled'
  | 'headers-too-large'
  | 'bad-request'
  | 'pipelined'
  | 'http2-error'
  | 'tls'
  | 'proxy-protocol'

export type CountRefusal = (reason: Refusal) => void

export function createRefusalCounter(metrics: Metrics): CountRefusal {
  const refused = metrics.counter(
    'wishbone_refused_total',
    'Connections and requests that were refused or cut because of what their clients did.',
    ['reason'],
  )
  return (reason) => void refused.labels({ reason }).inc()
}
