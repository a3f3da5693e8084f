import { describe, expect, test } from 'vitest'
import { readText, withoutDuplicates } from './read.ts'

const map = (name: string, data = 'x'): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { a: ${data} }\n`

describe('readText', () => {
  test('a broken document is named with its line and loses no other', () => {
    const { objects, mistakes } = readText(`${map('one')}---\nkind: [\n---\n${map('two')}`, 'a.yaml')
    expect(objects.map((loaded) => loaded.object.metadata.name)).toEqual(['one', 'two'])
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]?.place).toEqual({ file: 'a.yaml', line: expect.any(Number) })
    expect(mistakes[0]?.place.line).toBeGreaterThanOrEqual(6)
  })
  test('what is missing is said', () => {
    expect(readText('kind: Pod\n', 'a.yaml').mistakes[0]?.message).toContain('apiVersion, metadata.name is missing')
    expect(readText('just words\n', 'a.yaml').mistakes[0]?.message).toContain('expected an object')
  })
  test.each([
    ['a: *nothing', 'Unresolved alias'],
    ['apiVersion: v1\nkind: List\nitems: [null, {kind: Pod}]', 'apiVersion, kind, metadata.name'],
    ['apiVersion: 1\nkind: Pod\nmetadata: { name: a }', 'apiVersion is missing or no text'],
    ['apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: [a] }', 'metadata.namespace is missing or no text'],
  ])('%j is a mistake and loses no other', (text, message) => {
    const { objects, mistakes } = withoutDuplicates([
      readText(`${map('one')}---\n${text}\n---\n${map('two')}`, 'a.yaml'),
    ])
    expect(objects.map((loaded) => loaded.object.metadata.name)).toEqual(['one', 'two'])
    expect(mistakes[0]?.message).toContain(message)
  })
  test('empty documents are nothing', () => {
    expect(readText('---\n---\n# only a comment\n', 'a.yaml')).toMatchObject({ objects: [], mistakes: [] })
  })
  test('lists are their items', () => {
    expect(
      readText('apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n', 'a.yaml')
        .objects,
    ).toHaveLength(1)
  })
})

test('of two objects with one name the first stays and the second names it', () => {
  const { objects, mistakes } = withoutDuplicates([
    readText(map('one', 'first'), 'a.yaml'),
    readText(map('one', 'second'), 'b.yaml'),
  ])
  expect(objects).toHaveLength(1)
  expect(mistakes[0]).toMatchObject({
    place: { file: 'b.yaml', line: 1 },
    message: expect.stringContaining('a.yaml:1'),
  })
})
