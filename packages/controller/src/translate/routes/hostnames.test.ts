import { expect, test } from 'vitest'
import { intersectHostnames } from './hostnames.ts'

test.each([
  ['', [], [['', '']]],
  ['example.com', [], [['example.com', '']]],
  [
    '',
    ['a.com', '*.b.com'],
    [
      ['a.com', 'a.com'],
      ['*.b.com', '*.b.com'],
    ],
  ],
  ['*.example.com', ['example.com'], []],
  ['*.example.com', ['a.b.example.com'], [['a.b.example.com', 'a.b.example.com']]],
  ['*.example.com', ['*.com'], [['*.example.com', '*.com']]],
  ['*.example.com', ['*.a.example.com'], [['*.a.example.com', '*.a.example.com']]],
  ['*.example.com', ['notexample.com', '*.notexample.com'], []],
  ['a.example.com', ['*.example.com', 'b.example.com'], [['a.example.com', '*.example.com']]],
  ['Example.com', ['EXAMPLE.com'], [['example.com', 'example.com']]],
])('listener "%s" and route %j', (listener, route, expected) => {
  const found = intersectHostnames(listener, route as string[])
  expect(found.map(({ effective, original }) => [effective, original])).toEqual(expected)
})
