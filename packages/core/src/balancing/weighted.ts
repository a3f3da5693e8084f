// A weighted random choice.

/**
 * One of `items` in proportion to its weight; undefined when all weights are zero or there are no items.
 * `random` answers in [0, 1).
 */
export function pickWeighted<T>(
  items: readonly T[],
  weightOf: (item: T) => number,
  random: () => number,
): T | undefined {
  let total = 0
  for (const item of items) total += Math.max(0, weightOf(item))
  if (!(total > 0)) return undefined
  let rest = random() * total
  let last: T | undefined
  for (const item of items) {
    const weight = Math.max(0, weightOf(item))
    if (weight === 0) continue
    last = item
    rest -= weight
    if (rest < 0) return item
  }
  return last
}
