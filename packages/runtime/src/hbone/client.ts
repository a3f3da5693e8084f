// The client's side of a session.
import type tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import type { Headers, PoolOptions, Tunnel } from './types.ts'

/** The server answered a CONNECT with another status than 200. */
export class HboneStatusError extends MeshError {
  readonly status: number
  readonly headers: Headers

  constructor(status: number, authority: string, headers: Headers) {
    super('connect-failed', `CONNECT ${authority} was answered with ${status}`, { at: 'upstream' })
    this.status = status
    this.headers = headers
  }
}

export interface HboneClientSession {
  readonly streams: number
  readonly capacity: number
  open(authority: string, headers: Headers, signal?: AbortSignal): Promise<Tunnel>
  drain(): Promise<void>
  close(reason: MeshError): void
  readonly closed: Promise<void>
}

/** One client session that no pool shares, for HBONE inside HBONE and for tests. */
export function connectHbone(socket: tls.TLSSocket, options: PoolOptions = {}): HboneClientSession {
  throw new Error(`not yet: ${socket.remotePort} ${options.settings}`)
}
