import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  encodeKey,
  type Interval,
  intervalElements,
  mergeIntervals,
  parsePrefix,
  portBytes,
  portInterval,
  prefixInterval,
} from './keys.ts'

const number = (bytes: Uint8Array) => bytes.reduce((value, byte) => value * 256 + byte, 0)
const range = fc.tuple(fc.nat(65_535), fc.nat(65_535)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }))
const contains = (intervals: readonly Interval[], port: number) =>
  intervals.some((interval) => number(interval.from) <= port && port <= number(interval.to))

test('merged intervals hold the same values, sorted and apart', () => {
  fc.assert(
    fc.property(fc.array(range, { minLength: 1 }), fc.nat(65_535), (ranges, port) => {
      const intervals = ranges.map(portInterval)
      const merged = mergeIntervals(intervals)
      expect(contains(merged, port)).toBe(contains(intervals, port))
      merged.slice(1).forEach((interval, i) => {
        expect(number(interval.from)).toBeGreaterThan(number(merged[i]?.to ?? new Uint8Array()) + 1)
      })
    }),
  )
})

test('the elements of an interval set are a value and the end after it, none past the last value', () => {
  const elements = (...ports: Parameters<typeof portInterval>[0][]) =>
    intervalElements(ports.map(portInterval)).map(({ key, end }) => `${end ? '-' : '+'}${number(key)}`)
  expect(elements(80, { from: 90, to: 95 })).toEqual(['-0', '+80', '-81', '+90', '-96'])
  expect(elements({ from: 0, to: 65_535 })).toEqual(['+0'])
  expect(elements({ from: 1024, to: 65_535 }, 1024)).toEqual(['-0', '+1024'])
})

test('prefixes become their first and last address', () => {
  const interval = prefixInterval(parsePrefix('10.1.2.3/20'))
  expect([...interval.from, ...interval.to]).toEqual([10, 1, 0, 0, 10, 1, 15, 255])
  expect(() => parsePrefix('10.0.0.0/33')).toThrow('not a CIDR')
})

test('concatenated keys are padded, and mistakes are named', () => {
  expect([...encodeKey(['ipv4', 'port'], ['1.2.3.4', 8080])]).toEqual([1, 2, 3, 4, 31, 144, 0, 0])
  expect([...encodeKey(['port'], [1])]).toEqual([0, 1])
  expect(() => encodeKey(['ipv6'], ['1.2.3.4'])).toThrow('"1.2.3.4" is not of kind ipv6')
  expect(() => encodeKey(['ipv4', 'port'], ['1.2.3.4'])).toThrow('does not have 2 parts')
  expect(() => portBytes(65_536)).toThrow('is not a port')
})
