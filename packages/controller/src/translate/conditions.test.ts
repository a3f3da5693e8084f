import { expect, test } from 'vitest'
import { condition, no } from './conditions.ts'

test('a long message ends at a whole character', () => {
  const object = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } }
  for (const message of ['𝄞'.repeat(1_000), `x${'𝄞'.repeat(1_000)}`]) {
    const written = condition(object, 'Accepted', no('Invalid', message)).message
    expect([written.length, written.isWellFormed()]).toEqual([1_024, true])
  }
})
