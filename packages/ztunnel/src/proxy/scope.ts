// One pod as its proxy's handlers see it.
import type { Workload } from '@wishbone/core/mesh'
import type { HbonePool, HboneServerSession } from '@wishbone/runtime/hbone'
import type { Handshakes } from '@wishbone/runtime/tls'
import type { InboundFacts } from '../decide/index.ts'
import type { Connection } from '../report/connection.ts'
import type { ProxyContext } from './context.ts'

/** What a live inbound connection is judged by when the policies change. */
export interface Judged {
  readonly facts: InboundFacts
  readonly port: number
}

export interface PodScope {
  readonly context: ProxyContext
  readonly nsFd: number
  readonly pool: HbonePool
  /** Accepted on 15008, and not yet a session. */
  readonly handshakes: Handshakes
  /** SPIFFE URI of the pod. */
  readonly identity: string
  readonly draining: boolean
  /** The rules track connections to the application apart from captured ones: both may have the same addresses and ports. */
  readonly tracksApart: boolean
  /** Aborted when the proxy is closed. */
  readonly signal: AbortSignal
  /** The pod's workload; waits for it. Rejects with MeshError workload-unknown. */
  workload(): Promise<Workload>
  /** The pod's workload if it is known now. */
  knownWorkload(): Workload | undefined
  /** Follows an open connection: it is closed with the proxy, and judged again when `judged` is given. */
  add(connection: Connection, judged?: Judged): void
  remove(connection: Connection): void
  addSession(session: HboneServerSession): void
}
