import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { until } from './until.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('says what was seen last', async () => {
  const waited = expect(until('rain', () => Promise.reject(new Error('sun')), 1_000)).rejects.toThrow(
    'waited 1 s for rain in vain (sun)',
  )
  await vi.advanceTimersByTimeAsync(2_000)
  await waited
})

test('a try that does not end is given up a minute after the time is over', async () => {
  const waited = expect(until('rain', () => new Promise<true>(() => undefined), 1_000)).rejects.toThrow(
    'waited 1 s for rain in vain (the last try did not end)',
  )
  await vi.advanceTimersByTimeAsync(62_000)
  await waited
})
