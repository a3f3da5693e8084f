// A histogram's series in plain numbers: adding is one search and two additions.

/** Upper bounds of Envoy's default buckets, which Istio's dashboards expect; for milliseconds and for bytes. */
export const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
] as const

export class HistogramSeries {
  readonly #counts = new Float64Array(bounds.length + 1)
  #sum = 0

  observe(value: number): void {
    let at = 0
    while (at < bounds.length && value > bounds[at]!) at++
    this.#counts[at]! += 1
    this.#sum += value
  }

  get sum(): number {
    return this.#sum
  }

  /** Calls with each bound and the number of values at or below it, last "+Inf". */
  forEachBucket(visit: (bound: string, cumulated: number) => void): void {
    let cumulated = 0
    for (let i = 0; i <= bounds.length; i++) {
      cumulated += this.#counts[i]!
      visit(i < bounds.length ? String(bounds[i]) : '+Inf', cumulated)
    }
  }
}
