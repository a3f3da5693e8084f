// What the pipeline is handed.
import type { Logger } from '@wishbone/runtime/log'
import type { Dialler } from '../forward/dial.ts'
import type { Endpoints } from '../forward/endpoints.ts'
import type { Forwarder } from '../forward/forwarder.ts'
import type { CountRefusal } from '../server/limits.ts'
import type { Authorizer } from './authorize.ts'
import type { RequestContext } from './context.ts'
import type { Recorder, RequestRecord } from './record.ts'

/** A span around one request. */
export interface RequestTrace {
  readonly traceId: string
  /** Headers for the backend. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  end(record: RequestRecord): void
}

export interface PipelineServices extends Recorder {
  readonly endpoints: Endpoints
  readonly forwarder: Forwarder
  readonly dial: Dialler
  readonly authorizer: Authorizer
  readonly random: () => number
  readonly log: Logger
  /** Without a byte from or to a client that is to blame for it. */
  readonly stallTimeoutMs: number
  readonly refused: CountRefusal
  /** Undefined: tracing is off; trace headers of clients pass through. */
  readonly trace: ((context: RequestContext) => RequestTrace) | undefined
}
