import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseRecords, Records } from './records.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wishbone-records-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('records of what was made', () => {
  test('survive their writer, in order and without repetitions', () => {
    const file = join(folder, 'records')
    const first = new Records(file)
    first.add({ kind: 'link', name: 'a' })
    first.add({ kind: 'route', route: 'blackhole 10.0.0.0/8' })
    first.add({ kind: 'link', name: 'a' })
    const second = new Records(file)
    second.add({ kind: 'link', name: 'a' })
    expect(second.all).toEqual([
      { kind: 'link', name: 'a' },
      { kind: 'route', route: 'blackhole 10.0.0.0/8' },
    ])
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(2)
  })

  test('a line that a crash cut short is left out, and does not spoil the next one', () => {
    const file = join(folder, 'records')
    writeFileSync(file, '\n{"kind":"link","name":"a"}\n{"kind":"li')
    new Records(file).add({ kind: 'link', name: 'c' })
    expect(new Records(file).all).toEqual([
      { kind: 'link', name: 'a' },
      { kind: 'link', name: 'c' },
    ])
  })

  test.each(['', '\n\n', 'null\n', '7\n"x"\n{}\n', '\0'])('nothing sensible in %j is no record', (text) => {
    expect(parseRecords(text)).toEqual([])
  })

  test('of a setting, the value that it had first is kept', () => {
    const setting = { kind: 'sysctl', key: 'k', set: '2' } as const
    const file = join(folder, 'records')
    new Records(file).add({ ...setting, before: '0' })
    new Records(file).add({ ...setting, before: '1' })
    expect(new Records(file).all).toEqual([{ ...setting, before: '0' }])
  })

  test('are gone once cleared', () => {
    const file = join(folder, 'records')
    const records = new Records(file)
    records.add({ kind: 'link', name: 'a' })
    records.clear()
    expect(new Records(file).all).toEqual([])
  })
})
