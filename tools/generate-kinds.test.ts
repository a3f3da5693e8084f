import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { typeOf } from './generate-kinds.ts'

test('the committed kinds are those of the CRDs', () => {
  const { status, stderr } = spawnSync(process.execPath, ['tools/generate-kinds.ts', '--check'], { encoding: 'utf8' })
  expect(stderr).not.toContain('stale')
  expect(status).toBe(0)
})

test.each([
  [{ type: 'string', enum: ['A', 'B'] }, "'A' | 'B'"],
  [{ 'x-kubernetes-int-or-string': true }, 'number | string'],
  [{ type: 'object', additionalProperties: { type: 'integer' } }, 'Readonly<Record<string, number>>'],
  [{ type: 'array', items: { type: 'boolean' } }, 'ReadonlyArray<boolean>'],
  [
    { type: 'object', required: ['a'], properties: { a: { type: 'string' }, 'b-c': {} } },
    "{\n  readonly a: string\n  readonly 'b-c'?: unknown\n}",
  ],
])('%j', (schema, expected) => {
  expect(typeOf(schema)).toBe(expected)
})
