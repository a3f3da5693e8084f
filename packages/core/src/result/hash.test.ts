import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { stableHash, stableJson } from './index.ts'

test('the order of members, of map entries and of set elements does not matter; that of arrays does', () => {
  expect(stableJson({ b: 1, a: [2, 1], c: undefined })).toBe('{"a":[2,1],"b":1}')
  expect(
    stableHash(
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ),
  ).toBe(
    stableHash(
      new Map([
        [3, 4],
        [1, 2],
      ]),
    ),
  )
  expect(stableHash(new Set([1, 2]))).toBe(stableHash(new Set([2, 1])))
  expect(stableHash([1, 2])).not.toBe(stableHash([2, 1]))
})

test('JSON data keeps its meaning', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(stableJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})
