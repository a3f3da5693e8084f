// What happened to one request, for its metrics, its log line and its span. Filled while it runs, read once at its end.
import type { MeshError } from '@wishbone/core/errors'
import type { Backend, Rule } from '../compile/index.ts'
import type { Target } from '../forward/target.ts'
import type { RequestContext } from './context.ts'

export interface RequestRecord {
  readonly context: RequestContext
  readonly startedAtMs: number
  /** performance.now() at the start. */
  readonly startedMs: number
  durationMs: number
  rule: Rule | undefined
  backend: Backend | undefined
  target: Target | undefined
  /** 0: the client was gone before any. */
  status: number
  grpcStatus: string | undefined
  /** The failure, if the answer was the proxy's own or was broken off. */
  error: MeshError | undefined
  /** Why the proxy answered itself, where that is no failure: "redirect", "fault", … */
  detail: string | undefined
  requestBytes: number
  responseBytes: number
  tries: number
  /** Until the head of the backend's response. */
  upstreamMs: number
  traceId: string | undefined
}
