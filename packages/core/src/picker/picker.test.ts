import { expect, test } from 'vitest'
import { EndpointLoad } from './load.ts'
import { createPicker } from './picker.ts'

function seeded(seed: number): () => number {
  return () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed / 2_147_483_648
  }
}

function counts(picks: readonly (string | undefined)[]): Record<string, number> {
  const result: Record<string, number> = {}
  for (const pick of picks) result[pick ?? 'none'] = (result[pick ?? 'none'] ?? 0) + 1
  return result
}

const entry = (endpoint: string, weight = 1) => ({ endpoint, load: new EndpointLoad(), weight })

test('an empty set picks nothing, a single endpoint always', () => {
  expect(createPicker<string>([]).pick(0, Math.random)).toBeUndefined()
  expect(createPicker([entry('a')]).pick(0, Math.random)).toBe('a')
})

test('equal endpoints get equal shares', () => {
  const picker = createPicker([entry('a'), entry('b'), entry('c')])
  const random = seeded(1)
  const shares = counts(Array.from({ length: 3000 }, () => picker.pick(0, random)))
  for (const name of ['a', 'b', 'c']) expect(shares[name]).toBeGreaterThan(700)
})

test('a slow or busy endpoint gets less, and comes back', () => {
  const slow = entry('slow')
  const fast = entry('fast')
  const picker = createPicker([slow, fast])
  slow.load.started()
  slow.load.ended(1_000, 1)
  fast.load.started()
  fast.load.ended(5, 1)
  const shares = (): Record<string, number> => {
    const random = seeded(3)
    return counts(Array.from({ length: 1000 }, () => picker.pick(2, random)))
  }
  expect(shares().fast).toBeGreaterThan(995)
  expect(slow.load.cost(100_000)).toBeLessThan(2)
  for (let i = 0; i < 300; i++) fast.load.started()
  expect(shares().slow).toBeGreaterThan(700)
})

test('endpoints that were tried are avoided while there is another', () => {
  const picker = createPicker([entry('a'), entry('b')])
  for (let i = 0; i < 20; i++) expect(picker.pick(0, Math.random, (one) => one === 'a')).toBe('b')
  expect(picker.pick(0, Math.random, () => true)).toMatch(/a|b/)
})

test('two that are nearly equal share the requests', () => {
  const one = entry('one')
  const other = entry('other')
  const picker = createPicker([one, other])
  for (const [endpoint, latencyMs] of [
    [one, 20],
    [other, 23],
  ] as const) {
    endpoint.load.started()
    endpoint.load.ended(latencyMs, 1)
  }
  const random = seeded(7)
  const shares = counts(Array.from({ length: 1000 }, () => picker.pick(2, random)))
  expect(shares.other).toBeGreaterThan(350)
})
