import { describe, expect, test } from 'vitest'
import { targetsOf } from './get.ts'
import { secondsOf } from './pods.ts'

describe('targetsOf', () => {
  test.each([
    { words: ['pods'], targets: [{ kindWord: 'pods', names: [] }] },
    { words: ['pod', 'a', 'b'], targets: [{ kindWord: 'pod', names: ['a', 'b'] }] },
    {
      words: ['pods,svc'],
      targets: [
        { kindWord: 'pods', names: [] },
        { kindWord: 'svc', names: [] },
      ],
    },
    {
      words: ['pod/a', 'svc/b'],
      targets: [
        { kindWord: 'pod', names: ['a'] },
        { kindWord: 'svc', names: ['b'] },
      ],
    },
    { words: [], targets: [] },
  ])('$words', ({ words, targets }) => {
    expect(targetsOf(words)).toEqual(targets)
  })
  test.each([[['pods,svc', 'a']], [['pod/a', 'b']], [['pod/']], [['a/b/c']]])('%j is refused', (words) => {
    expect(() => targetsOf(words)).toThrow(/KIND|kind/)
  })
})

test.each([
  ['90', 90],
  ['30s', 30],
  ['5m', 300],
  ['1h30m', 5400],
])('secondsOf(%s)', (text, seconds) => expect(secondsOf(text)).toBe(seconds))
test.each(['', 'x', '5d', '-3s', '3s!'])('secondsOf(%j) is refused', (text) =>
  expect(() => secondsOf(text)).toThrow(/duration/),
)
