import { expect, test } from 'vitest'
import { strategicMerge } from './merge.ts'

test.each([
  ['members are merged', { a: { x: 1, y: 2 } }, { a: { y: 3, z: 4 } }, { a: { x: 1, y: 3, z: 4 } }],
  ['null takes away', { a: 1, b: { c: 2, d: 3 } }, { a: null, b: { c: null } }, { b: { d: 3 } }],
  ['a value may change its type', { a: 1 }, { a: { b: 2 } }, { a: { b: 2 } }],
  ['plain lists are replaced', { args: ['a', 'b'] }, { args: ['c'] }, { args: ['c'] }],
  [
    'containers go by name',
    { containers: [{ name: 'wishbone', image: 'a', env: [{ name: 'X', value: '1' }] }] },
    { containers: [{ name: 'side' }, { name: 'wishbone', env: [{ name: 'Y', value: '2' }] }] },
    {
      containers: [
        {
          name: 'wishbone',
          image: 'a',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        { name: 'side' },
      ],
    },
  ],
  [
    'ports of a Service go by number',
    { ports: [{ name: 'a', port: 80 }] },
    { ports: [{ port: 80, nodePort: 30000 }] },
    { ports: [{ name: 'a', port: 80, nodePort: 30000 }] },
  ],
  [
    'an entry can be taken out',
    { volumes: [{ name: 'a' }, { name: 'b' }] },
    { volumes: [{ name: 'a', $patch: 'delete' }] },
    { volumes: [{ name: 'b' }] },
  ],
  [
    'a list can be replaced',
    { env: [{ name: 'a' }] },
    { env: [{ $patch: 'replace' }, { name: 'b' }] },
    { env: [{ name: 'b' }] },
  ],
  ['a map can be replaced', { a: { b: 1 } }, { a: { $patch: 'replace', c: 2 } }, { a: { c: 2 } }],
  ['a map can be taken out', { a: { b: 1 }, c: 2 }, { a: { $patch: 'delete' } }, { c: 2 }],
  ['a list of names over none', {}, { env: [{ name: 'b' }] }, { env: [{ name: 'b' }] }],
])('%s', (_what, base, patch, expected) => {
  const before = structuredClone(base)
  expect(strategicMerge(base, patch)).toEqual(expected)
  expect(base).toEqual(before)
})
