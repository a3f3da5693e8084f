import { expect, test } from 'vitest'
import { durationOf, parseGatewayDurationMs } from './durations.ts'

test.each([
  ['0s', 0],
  ['500ms', 500],
  ['1h', 3_600_000],
  ['1m30s500ms', 90_500],
  ['', undefined],
  ['1', undefined],
  ['1.5s', undefined],
  ['-1s', undefined],
  ['100000s', undefined],
])('%s', (text, expected) => {
  expect(parseGatewayDurationMs(text)).toBe(expected)
})

test('a wrong one names its field', () => {
  expect(() => durationOf('soon', 'timeouts.request')).toThrow(/timeouts.request "soon"/)
})
