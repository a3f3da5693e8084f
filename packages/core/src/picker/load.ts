// What is known of one endpoint from its own requests: how many are open, and how long they take.

/** Time after which an old latency weighs 1/e, in milliseconds. */
const decayMs = 10_000

export class EndpointLoad {
  #inFlight = 0
  #latencyMs = 0
  #observedAtMs = 0

  get inFlight(): number {
    return this.#inFlight
  }

  /** Exponentially weighted moving average; 0 before the first response. */
  get latencyMs(): number {
    return this.#latencyMs
  }

  started(): void {
    this.#inFlight++
  }

  /** `latencyMs` until the head of the response; a failure counts as slow, so that a broken endpoint is not the fastest. */
  ended(latencyMs: number, nowMs: number): void {
    if (this.#inFlight > 0) this.#inFlight--
    if (this.#observedAtMs === 0) this.#latencyMs = latencyMs
    else {
      const weight = Math.exp(-Math.max(0, nowMs - this.#observedAtMs) / decayMs)
      // A peak counts at once, as in the peak-EWMA of Finagle: slowness is learned fast and forgotten slowly.
      this.#latencyMs = latencyMs > this.#latencyMs ? latencyMs : this.#latencyMs * weight + latencyMs * (1 - weight)
    }
    this.#observedAtMs = nowMs
  }

  /** The connection or stream ended without a measurement. */
  cancelled(): void {
    if (this.#inFlight > 0) this.#inFlight--
  }

  /** Expected cost of one more request; less is better. */
  cost(nowMs: number): number {
    const age = Math.max(0, nowMs - this.#observedAtMs)
    const latency = this.#latencyMs === 0 ? 0 : this.#latencyMs * Math.exp(-age / decayMs)
    return (latency + 1) * (this.#inFlight + 1)
  }
}
