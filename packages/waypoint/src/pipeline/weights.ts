// Which backend of a rule gets the next request: smooth weighted round-robin, so that shares are exact over short runs
// too. It starts at a random point, so that replicas do not walk in step.
import type { Backend } from '../compile/index.ts'

interface Shares {
  readonly total: number
  readonly current: number[]
}

const shares = new WeakMap<readonly Weighted[], Shares>()

interface Weighted {
  readonly weight: number
}

/** Undefined: there is no backend with a weight. */
export function chooseBackend(backends: readonly Backend[], random: () => number): Backend | undefined {
  return chooseShare(backends, random)
}

/** The same for anything with weights; what is remembered belongs to the array. */
export function chooseShare<T extends Weighted>(backends: readonly T[], random: () => number): T | undefined {
  if (backends.length === 1) return backends[0]!.weight > 0 ? backends[0] : undefined
  let state = shares.get(backends)
  if (state === undefined) shares.set(backends, (state = begin(backends, random)))
  if (state.total === 0) return undefined
  let best = -1
  for (let i = 0; i < backends.length; i++) {
    const weight = backends[i]!.weight
    if (weight === 0) continue
    state.current[i]! += weight
    if (best < 0 || state.current[i]! > state.current[best]!) best = i
  }
  state.current[best]! -= state.total
  return backends[best]
}

function begin(backends: readonly Weighted[], random: () => number): Shares {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0)
  const state = { total, current: backends.map(() => 0) }
  shares.set(backends, state)
  if (total > 0)
    for (let steps = Math.floor(random() * Math.min(total, 100)); steps > 0; steps--) chooseShare(backends, random)
  return state
}
