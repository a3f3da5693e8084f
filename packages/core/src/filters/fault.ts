// Fault injection: whether this request is delayed, aborted or both.

export interface Fault {
  readonly delayMs: number
  /** 0 to 100. */
  readonly delayPercent: number
  /** 0: no abort with an HTTP status. */
  readonly abortStatus: number
  /** Used for gRPC requests. */
  readonly abortGrpcStatus: number | undefined
  readonly abortPercent: number
}

export interface FaultDecision {
  readonly delayMs: number
  readonly abort: { readonly status: number; readonly grpcStatus: number | undefined } | undefined
}

/** `random` answers in [0, 1). Delay and abort are drawn one after the other, independently. */
export function decideFault(fault: Fault, random: () => number): FaultDecision {
  const delayed = fault.delayMs > 0 && hits(fault.delayPercent, random)
  const hasAbort = fault.abortStatus !== 0 || fault.abortGrpcStatus !== undefined
  const aborted = hasAbort && hits(fault.abortPercent, random)
  return {
    delayMs: delayed ? fault.delayMs : 0,
    abort: aborted ? { status: fault.abortStatus || 500, grpcStatus: fault.abortGrpcStatus } : undefined,
  }
}

function hits(percent: number, random: () => number): boolean {
  return percent >= 100 || (percent > 0 && random() * 100 < percent)
}
