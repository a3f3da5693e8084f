import { expect, test } from 'vitest'
import { inTurns, type TurnCost } from './in-turns.ts'

/** Each step lets the clock go on by 3. */
function counting(count: number, { fails = false } = {}) {
  const clock = { ms: 0 }
  const done: number[] = []
  function* steps() {
    for (let step = 0; step < count; step++) {
      clock.ms += 3
      done.push(step)
      yield
    }
    if (fails) throw new Error('a step failed')
    return 'done'
  }
  const costs: TurnCost[] = []
  const options = { limitMs: 10, now: () => clock.ms, onTurn: (cost: TurnCost) => costs.push(cost) }
  return { steps: steps(), options, costs, done }
}

test('what fits into one turn is done at once', () => {
  const { steps, options, costs } = counting(3)
  expect(inTurns(steps, options)).toBe('done')
  expect(costs.map(({ wallMs }) => wallMs)).toEqual([9])
})

test('the rest waits for the next turns, and what was due comes before it', async () => {
  const { steps, options, costs, done } = counting(10)
  const result = inTurns(steps, options)
  expect(done.length).toBe(4)
  let others = 0
  setImmediate(() => others++)
  setImmediate(() => {
    others++
    expect(done.length).toBeLessThan(10)
  })
  expect(await result).toBe('done')
  expect(others).toBe(2)
  expect(costs.map(({ wallMs }) => wallMs)).toEqual([12, 12, 6])
})

test('a step that fails rejects, or throws when there was one turn only', async () => {
  const short = counting(1, { fails: true })
  expect(() => inTurns(short.steps, short.options)).toThrow('a step failed')
  expect(short.costs.length).toBe(1)
  const long = counting(10, { fails: true })
  await expect(inTurns(long.steps, long.options)).rejects.toThrow('a step failed')
})
