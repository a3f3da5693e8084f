import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Repeats } from './index.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('the first of equal lines is written, then one for each window, with the count of the rest', () => {
  const repeats = new Repeats({ windowMs: 1_000 })
  const lines: unknown[] = []
  const say = (key: string, times: number) => {
    for (let i = 0; i < times; i++) repeats.write(key, (left) => lines.push([key, i, left]))
  }
  say('a', 10)
  say('b', 1)
  expect(lines).toEqual([
    ['a', 0, {}],
    ['b', 0, {}],
  ])
  vi.advanceTimersByTime(1_000)
  expect(lines.splice(0)).toEqual([
    ['a', 0, {}],
    ['b', 0, {}],
    ['a', 9, { suppressed: 8 }],
  ])
  say('a', 1)
  expect(lines).toEqual([])
  vi.advanceTimersByTime(1_000)
  expect(lines.splice(0)).toEqual([['a', 0, {}]])
  // After a window without any it is new again.
  vi.advanceTimersByTime(1_000)
  say('a', 1)
  expect(lines).toEqual([['a', 0, {}]])
})

test('lines of ever new kinds count as one kind when there are too many', () => {
  const repeats = new Repeats({ windowMs: 1_000, kinds: 3 })
  const lines: unknown[] = []
  for (let i = 0; i < 100; i++) repeats.write(`kind ${i}`, (left) => lines.push([i, left]))
  expect(lines).toEqual([
    [0, {}],
    [1, {}],
    [2, {}],
    [3, {}],
  ])
  vi.advanceTimersByTime(1_000)
  expect(lines.slice(4)).toEqual([[99, { suppressed: 95 }]])
})
