import { expect, test } from 'vitest'
import { applyDefaults, hasCelRules, prune, type Schema, validate } from './schema.ts'

const schema: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 4, pattern: '^[a-z]+$' },
    port: { type: 'integer', minimum: 1, maximum: 65535, default: 80 },
    mode: { type: 'string', enum: ['A', 'B'], default: 'A' },
    target: { 'x-kubernetes-int-or-string': true },
    any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    items: {
      type: 'array',
      maxItems: 2,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: { type: 'object', properties: { name: { type: 'string' }, weight: { type: 'integer', default: 1 } } },
    },
  },
}

test('unknown fields are named with their path and taken out', () => {
  const value = {
    name: 'a',
    nme: 1,
    items: [{ name: 'x', wieght: 2 }],
    any: { anything: { at: 'all' } },
    labels: { x: 'y' },
  }
  expect(prune(value, schema)).toEqual(['nme', 'items[0].wieght'])
  expect(value).toEqual({ name: 'a', items: [{ name: 'x' }], any: { anything: { at: 'all' } }, labels: { x: 'y' } })
})

test('names of Object.prototype are unknown fields like others', () => {
  expect(prune({ name: 'a', constructor: 1 }, schema)).toEqual(['constructor'])
})

test('defaults are filled where the parent exists', () => {
  const value = { name: 'a', items: [{ name: 'x' }], mode: null }
  applyDefaults(value, schema)
  expect(value).toEqual({ name: 'a', port: 80, mode: 'A', items: [{ name: 'x', weight: 1 }] })
})

test.each<[unknown, string[]]>([
  [{ name: 'abc', target: '80', port: 1 }, []],
  [{}, ['name']],
  [{ name: 7 }, ['name']],
  [{ name: 'ABC' }, ['name']],
  [{ name: 'abcde' }, ['name']],
  [{ name: 'a', port: 0 }, ['port']],
  [{ name: 'a', port: 1.5 }, ['port']],
  [{ name: 'a', mode: 'C' }, ['mode']],
  [{ name: 'a', target: true }, ['target']],
  [{ name: 'a', labels: { x: 1 } }, ['labels.x']],
  [{ name: 'a', items: [{ name: 'x' }, { name: 'x' }] }, ['items[1]']],
  [{ name: 'a', items: [{}, { name: 'b' }, { name: 'c' }] }, ['items']],
  [{ name: 'a', items: 'no' }, ['items']],
])('%j has problems at %j', (value, paths) => {
  expect(validate(value, schema).map((cause) => cause.field)).toEqual(paths)
})

test('finds CEL rules at any depth', () => {
  expect(hasCelRules(schema)).toBe(false)
  expect(hasCelRules({ properties: { a: { items: { 'x-kubernetes-validations': [{}] } } } })).toBe(true)
})
