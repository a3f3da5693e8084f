import { expect, test } from 'vitest'
import { conflictsOf } from './ranges.ts'

const ranges = ['10.244.0.0/16', '172.31.0.0/24']

test.each([
  { used: ['192.168.1.2', 'default', 'fe80::1/64', '10.245.0.0/16'], conflicts: [] },
  // Wider routes go on to serve what is not the cluster's.
  { used: ['10.0.0.0/8', '172.31.0.0/20', '0.0.0.0/0'], conflicts: [] },
  { used: ['10.244.0.0/16'], conflicts: ['10.244.0.0/16'] },
  { used: ['10.244.3.0/24', '172.31.0.1'], conflicts: ['10.244.3.0/24', '172.31.0.1'] },
  { used: ['172.31.0.1', '172.31.0.1'], conflicts: ['172.31.0.1'] },
])('$used collide in $conflicts', ({ used, conflicts }) => {
  expect(conflictsOf(used, ranges)).toEqual(conflicts)
})
