import { expect, test } from 'vitest'
import { builtinSchema } from './builtin-schemas.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from './patch.ts'

const pod = builtinSchema('V1Pod')
const service = builtinSchema('V1Service')

test('a merge patch deletes with null and replaces lists', () => {
  expect(applyMergePatch({ a: 1, b: { c: 2, d: 3 }, l: [1, 2] }, { a: null, b: { c: 4 }, l: [3] })).toEqual({
    b: { c: 4, d: 3 },
    l: [3],
  })
})

test('a JSON patch that does not fit is refused with 422', () => {
  expect(applyJsonPatch({ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }])).toEqual({ a: [1, 2] })
  expect(() => applyJsonPatch({}, [{ op: 'remove', path: '/a/b' }])).toThrow(expect.objectContaining({ code: 422 }))
})

test('a strategic patch merges containers by name and leaves its target alone', () => {
  const target = { spec: { containers: [{ name: 'a', image: '1', env: [{ name: 'X', value: '1' }] }, { name: 'b' }] } }
  const before = structuredClone(target)
  const patch = { spec: { containers: [{ name: 'a', image: '2', env: [{ name: 'Y', value: '2' }] }, { name: 'c' }] } }
  expect(applyStrategicPatch(target, patch, pod)).toEqual({
    spec: {
      containers: [
        {
          name: 'a',
          image: '2',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        { name: 'b' },
        { name: 'c' },
      ],
    },
  })
  expect(target).toEqual(before)
})

test.each([
  ['$patch: delete removes an element', { spec: { ports: [{ port: 80, $patch: 'delete' }] } }, [{ port: 81 }]],
  ['$patch: replace replaces the list', { spec: { ports: [{ $patch: 'replace' }, { port: 1 }] } }, [{ port: 1 }]],
  [
    '$setElementOrder orders',
    { spec: { $setElementOrder: 0, '$setElementOrder/ports': [{ port: 81 }, { port: 80 }] } },
    [{ port: 81 }, { port: 80 }],
  ],
])('%s', (_name, patch, ports) => {
  const { spec } = applyStrategicPatch({ spec: { ports: [{ port: 80 }, { port: 81 }] } }, patch, service) as {
    spec: { ports: unknown }
  }
  expect(spec.ports).toEqual(ports)
})

test('a selector is replaced key by key, and finalizers are a set', () => {
  expect(
    applyStrategicPatch(
      { spec: { selector: { a: '1', b: '2' } } },
      { spec: { selector: { a: null, c: '3' } } },
      service,
    ),
  ).toEqual({
    spec: { selector: { b: '2', c: '3' } },
  })
  const patch = { metadata: { finalizers: ['x', 'y'], '$deleteFromPrimitiveList/finalizers': ['z'] } }
  expect(applyStrategicPatch({ metadata: { finalizers: ['x', 'z'] } }, patch, pod)).toEqual({
    metadata: { finalizers: ['x', 'y'] },
  })
})

test('a list without merge key is replaced', () => {
  const container = { name: 'a', command: ['1'] }
  expect(
    applyStrategicPatch(
      { spec: { containers: [container] } },
      { spec: { containers: [{ name: 'a', command: ['2'] }] } },
      pod,
    ),
  ).toEqual({
    spec: { containers: [{ name: 'a', command: ['2'] }] },
  })
})
