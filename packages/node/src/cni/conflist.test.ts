import { expect, test } from 'vitest'
import {
  configurationsOf,
  isConfiguration,
  type PluginEntry,
  pluginType,
  withoutPlugin,
  withPlugin,
} from './conflist.ts'

const entry: PluginEntry = { type: pluginType, socket: '/run/s', excludeNamespaces: ['kube-system'] }
const ptp = { type: 'ptp', ipam: { type: 'host-local' } }
const list = { cniVersion: '1.0.0', name: 'pods', disableCheck: true, plugins: [ptp, { type: 'portmap' }] }
const text = (value: unknown): string => JSON.stringify(value)
const written = (change: ReturnType<typeof withPlugin>): { name: string; value: unknown } => {
  if (change.kind !== 'write') throw new Error(JSON.stringify(change))
  return { name: change.name, value: JSON.parse(change.text) }
}

test('the entry comes last, once, and everything else stays', () => {
  const first = withPlugin('10-pods.conflist', text(list), entry)
  expect(written(first)).toEqual({ name: '10-pods.conflist', value: { ...list, plugins: [...list.plugins, entry] } })
  const again = first.kind === 'write' ? first.text : ''
  expect(withPlugin('10-pods.conflist', again, entry)).toEqual({ kind: 'nothing' })
  const moved = withPlugin('a', again, { ...entry, socket: '/run/other' })
  expect(written(moved).value).toEqual({ ...list, plugins: [...list.plugins, { ...entry, socket: '/run/other' }] })
})

test('an entry that is not the last any more is moved to the end', () => {
  const mixed = { ...list, plugins: [ptp, entry, { type: 'tuning' }] }
  expect(written(withPlugin('a', text(mixed), entry)).value).toEqual({
    ...list,
    plugins: [ptp, { type: 'tuning' }, entry],
  })
})

test('a single plugin becomes a list, and that again a single plugin', () => {
  const single = { cniVersion: '0.4.0', name: 'pods', ...ptp }
  const made = written(withPlugin('10-pods.conf', text(single), entry))
  expect(made).toEqual({
    name: '10-pods.conflist',
    value: { cniVersion: '0.4.0', name: 'pods', plugins: [ptp, { ...entry, madeFrom: '10-pods.conf' }] },
  })
  expect(withPlugin('10-pods.conflist', text(made.value), entry)).toEqual({ kind: 'nothing' })
  expect(written(withoutPlugin('10-pods.conflist', text(made.value)))).toEqual({ name: '10-pods.conf', value: single })
})

test('taking it out restores the list', () => {
  const change = withPlugin('a.conflist', text(list), entry)
  expect(written(withoutPlugin('a.conflist', change.kind === 'write' ? change.text : ''))).toEqual({
    name: 'a.conflist',
    value: list,
  })
  expect(withoutPlugin('a.conflist', text(list))).toEqual({ kind: 'nothing' })
  expect(withoutPlugin('a.conf', text(ptp))).toEqual({ kind: 'nothing' })
  expect(withoutPlugin('a.conf', 'rubbish')).toEqual({ kind: 'nothing' })
})

test.each(['', '{', 'null', '[]', '"x"', '{}', '{"plugins":[]}', '{"plugins":[{}]}', '{"plugins":{"type":"a"}}'])(
  'no configuration: %s',
  (bad) => {
    expect(isConfiguration(bad)).toBe(false)
    expect(withPlugin('a', bad, entry).kind).toBe('impossible')
  },
)

test.each([undefined, '', '0.1.0', '0.2.0', 1])('version %s knows no chains', (cniVersion) => {
  const change = withPlugin('10-old.conflist', text({ ...list, cniVersion }), entry)
  expect(change).toMatchObject({ kind: 'impossible', reason: expect.stringMatching(/10-old.conflist has cniVersion/) })
})

test.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])('version %s does', (cniVersion) => {
  expect(withPlugin('a', text({ ...list, cniVersion }), entry).kind).toBe('write')
})

test("runtimes take the first by name; editors' and our own temporary files are none", () => {
  expect(configurationsOf(['99-b.conf', '10-a.conflist.tmp', '10-a.conflist', '.x.swp', '5.json', 'README'])).toEqual([
    '10-a.conflist',
    '5.json',
    '99-b.conf',
  ])
})
