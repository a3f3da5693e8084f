// A counter's series, as many as there is room for: labels name workloads, which come and go for as long as the program
// runs, and what clients say of themselves. The series that was begun first gives its place to the next.
import type { Counter } from 'prom-client'

export type Labels<K extends string> = Readonly<Record<K, string>>

export interface CounterHandle {
  inc(by?: number): void
}

const maxSeries = 5_000

interface Series<K extends string> extends CounterHandle {
  readonly values: Labels<K>
  isKept: boolean
}

/** By label values, the handle of their series. A handle whose series had to go begins it anew when it counts again. */
export function boundedSeries<K extends string>(
  counter: Counter<K>,
  keyOf: (values: Labels<K>) => string,
): (values: Labels<K>) => CounterHandle {
  const kept = new Map<string, Series<K>>()
  const keep = (key: string, series: Series<K>): void => {
    if (kept.size >= maxSeries) {
      const [oldest, gone] = kept.entries().next().value!
      kept.delete(oldest)
      gone.isKept = false
      counter.remove(gone.values)
    }
    series.isKept = true
    kept.set(key, series)
  }
  return (values) => {
    const key = keyOf(values)
    const known = kept.get(key)
    if (known !== undefined) return known
    const counted = counter.labels(values)
    const series: Series<K> = {
      values,
      isKept: false,
      inc(by = 1) {
        // A series without its place would stay for good.
        if (!series.isKept && !kept.has(key)) keep(key, series)
        counted.inc(by)
      },
    }
    keep(key, series)
    return series
  }
}
