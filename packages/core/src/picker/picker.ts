// Power of two choices over a fixed set of endpoints. A changed set is a new picker; the loads live on.
import type { EndpointLoad } from './load.ts'

export interface PickerEntry<T> {
  readonly endpoint: T
  readonly load: EndpointLoad
  /** Relative capacity, at least 1. */
  readonly weight: number
}

export interface Picker<T> {
  readonly size: number
  /** One of two at random, the cheaper more likely; those that `avoid` names only when there is no other. Undefined: the set is empty. */
  pick(nowMs: number, random: () => number, avoid?: (endpoint: T) => boolean): T | undefined
  some(test: (endpoint: T) => boolean): boolean
}

/** Freezes the set. */
export function createPicker<T>(entries: readonly PickerEntry<T>[]): Picker<T> {
  const total = entries.reduce((sum, entry) => sum + entry.weight, 0)
  const uniform = entries.every((entry) => entry.weight === entries[0]!.weight)
  const draw = (from: readonly PickerEntry<T>[], sum: number, random: () => number): PickerEntry<T> => {
    if (uniform) return from[Math.floor(random() * from.length)]!
    let rest = random() * sum
    for (const entry of from) if ((rest -= entry.weight) < 0) return entry
    return from.at(-1)!
  }
  const choose = (from: readonly PickerEntry<T>[], sum: number, nowMs: number, random: () => number): T => {
    if (from.length === 1) return from[0]!.endpoint
    const first = draw(from, sum, random)
    let second = draw(from, sum, random)
    if (second === first) second = from[(from.indexOf(first) + 1) % from.length]!
    // The odds are those of the squared costs. Always taking the cheaper one would send everything to whichever of two equals was
    // a hair faster last time, and would never learn that the other has become fast.
    const a = first.load.cost(nowMs) / first.weight
    const b = second.load.cost(nowMs) / second.weight
    return (random() * (a * a + b * b) < b * b ? first : second).endpoint
  }
  return {
    size: entries.length,
    pick(nowMs, random, avoid) {
      if (entries.length === 0) return undefined
      if (avoid === undefined) return choose(entries, total, nowMs, random)
      const fresh = entries.filter((entry) => !avoid(entry.endpoint))
      if (fresh.length === 0) return choose(entries, total, nowMs, random)
      return choose(
        fresh,
        fresh.reduce((sum, entry) => sum + entry.weight, 0),
        nowMs,
        random,
      )
    },
    some: (test) => entries.some(({ endpoint }) => test(endpoint)),
  }
}
