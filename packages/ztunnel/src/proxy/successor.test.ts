import { expect, test } from 'vitest'
import { hasSuccessor } from './successor.ts'

test('a namespace that cannot be asked for the moment has no successor yet, and does not end the handing over', () => {
  expect(hasSuccessor(-1)).toBe(false)
})
