// What happened to one request, for its metrics, its log line and its span. Filled while it runs, read once at its end.
import type { MeshError } from '@wishbone/core/errors'
import type { Backend, Rule } from '../compile/index.ts'
import type { Target } from '../forward/target.ts'
import type { RequestContext } from './context.ts'
import type { Responder } from './responder.ts'

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

/** Where records go. */
export interface Recorder {
  /** Monotonic milliseconds. */
  readonly now: () => number
  report(record: RequestRecord): void
}

export function newRecord(context: RequestContext, startedMs: number): RequestRecord {
  return {
    context,
    startedAtMs: Date.now(),
    startedMs,
    durationMs: 0,
    rule: context.match.kind === 'match' ? context.match.rule : undefined,
    backend: undefined,
    target: undefined,
    status: 0,
    grpcStatus: undefined,
    error: undefined,
    detail: undefined,
    requestBytes: 0,
    responseBytes: 0,
    tries: 0,
    upstreamMs: -1,
    traceId: undefined,
  }
}

/** A request that a plugin answered. */
export function reportForeign(recorder: Recorder, context: RequestContext, responder: Responder, status: number): void {
  const record = newRecord(context, recorder.now())
  record.status = status
  record.detail = 'plugin'
  responder.onClose(() => {
    record.durationMs = recorder.now() - record.startedMs
    recorder.report(record)
  })
}
