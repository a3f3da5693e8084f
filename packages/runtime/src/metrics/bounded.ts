// A counter's series, as many as there is room for: labels name workloads, which come and go for as long as the program
// runs, and what clients say of themselves. A series that is not in use gives its place to the next.
import type { Counter } from 'prom-client'

export type Labels<K extends string> = Readonly<Record<K, string>>

export interface CounterHandle {
  inc(by?: number): void
}

/** Of one metric. */
export const maxSeries = 5_000

interface Series<K extends string> extends CounterHandle, Used {
  readonly values: Labels<K>
  isKept: boolean
}

/** What tells whether a series is in use. */
export interface Used {
  uses: number
  /** How many there had been when room was last looked for; 1 at first. */
  usesSeen: number
}

/**
 * Takes out of a full map the one that was begun first of those that were not used again since room was last looked for (second
 * chance, as page caches have it): a counter that goes back to nothing while it counts shows less than there was.
 */
export function takeUnused<S extends Used>(kept: Map<string, S>): S {
  // Those that are put at the end are come to again.
  for (const [key, one] of kept) {
    kept.delete(key)
    if (one.uses <= one.usesSeen) return one
    one.usesSeen = one.uses
    kept.set(key, one)
  }
  throw new Error('nothing is kept')
}

/** By label values, the handle of their series. A handle whose series had to go (`onDrop`) begins it anew when it counts again. */
export function boundedSeries<K extends string>(
  counter: Counter<K>,
  keyOf: (values: Labels<K>) => string,
  onDrop: () => void,
): (values: Labels<K>) => CounterHandle {
  const kept = new Map<string, Series<K>>()
  const keep = (key: string, series: Series<K>): void => {
    if (kept.size >= maxSeries) {
      const gone = takeUnused(kept)
      gone.isKept = false
      counter.remove(gone.values)
      onDrop()
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
      uses: 0,
      usesSeen: 1,
      inc(by = 1) {
        series.uses++
        // A series without its place would stay for good.
        if (!series.isKept && !kept.has(key)) keep(key, series)
        counted.inc(by)
      },
    }
    keep(key, series)
    return series
  }
}
