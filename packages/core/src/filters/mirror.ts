// Which requests are mirrored: a counter, spread evenly, so that the share is exact over any run of requests.

/** Answers true for `numerator` of every `denominator` calls; without a denominator always. */
export function createSampler(numerator: number, denominator: number): () => boolean {
  if (denominator <= 0 || numerator >= denominator) return () => true
  if (numerator <= 0) return () => false
  let owed = 0
  return () => {
    owed += numerator
    if (owed < denominator) return false
    owed -= denominator
    return true
  }
}
