import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '@wishbone/runtime/log'
import { expect, test, vi } from 'vitest'
import { pluginType } from './conflist.ts'
import { CniPlugin, removePlugin, writeEnrolledNamespaces } from './plugin.ts'

const list = '{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"ptp"}]}'

function node() {
  const root = mkdtempSync(join(tmpdir(), 'wishbone-cni-'))
  const places = { source: join(root, 'image'), binFolder: join(root, 'bin'), confFolder: join(root, 'net.d') }
  writeFileSync(places.source, 'program')
  mkdirSync(places.binFolder)
  mkdirSync(places.confFolder)
  const log = createLogger({ program: 't', sink: { write: () => undefined, flush: () => undefined, dropped: 0 } })
  const entry = { type: pluginType, socket: '/s', excludeNamespaces: ['kube-system'] } as const
  const conf = (name: string): string => join(places.confFolder, name)
  const types = (name: string): unknown[] =>
    JSON.parse(readFileSync(conf(name), 'utf8')).plugins.map(({ type }: { type: string }) => type)
  return { places, plugin: new CniPlugin(places, entry, log), conf, types }
}

test('installs, and takes everything away again', () => {
  const { places, plugin, conf, types } = node()
  plugin.install()
  expect(plugin.problem).toMatch(/a network configuration in .* to be chained to/)
  writeFileSync(conf('20-other.conflist'), list)
  writeFileSync(conf('10-pods.conflist'), list)
  writeFileSync(conf('05-broken.conflist'), '{')
  plugin.install()
  plugin.install()
  writeEnrolledNamespaces(places.binFolder, ['bank', 'shop'])
  expect(plugin.problem).toBeUndefined()
  expect(types('10-pods.conflist')).toEqual(['ptp', pluginType])
  expect(types('20-other.conflist')).toEqual(['ptp'])
  expect(statSync(join(places.binFolder, pluginType)).mode & 0o777).toBe(0o755)
  expect(readFileSync(join(places.binFolder, 'wishbone-cni.namespaces'), 'utf8')).toBe('bank\nshop\n')
  expect(removePlugin(places)).toHaveLength(3)
  expect(removePlugin(places)).toEqual([])
  expect(types('10-pods.conflist')).toEqual(['ptp'])
  expect(readdirSync(places.binFolder)).toEqual([])
})

test('what cannot be read is no configuration, as for the container runtime, and keeps nobody from the others', () => {
  const { places, plugin, conf, types } = node()
  mkdirSync(conf('01-folder.conf'))
  symlinkSync(conf('gone'), conf('02-link.conflist'))
  writeFileSync(conf('10-pods.conflist'), list)
  plugin.install()
  expect(plugin.problem).toBeUndefined()
  expect(types('10-pods.conflist')).toEqual(['ptp', pluginType])
  removePlugin(places)
  expect(types('10-pods.conflist')).toEqual(['ptp'])
  expect(readdirSync(places.binFolder)).toEqual([])
})

test('a configuration that cannot be read now may name the program, which stays then', () => {
  const { places, plugin, conf } = node()
  writeFileSync(conf('10-pods.conflist'), list)
  plugin.install()
  // Reading it fails with EIO.
  symlinkSync('/proc/self/mem', conf('05-other.conflist'))
  expect(() => removePlugin(places)).toThrow(/EIO/)
  expect(() => plugin.want(false)).not.toThrow()
  expect(readdirSync(places.binFolder)).toContain(pluginType)
  rmSync(conf('05-other.conflist'))
  plugin.install()
  expect(readdirSync(places.binFolder)).toEqual([])
})

test('a single plugin is converted, and restored', () => {
  const { places, plugin, conf } = node()
  const single = { cniVersion: '0.4.0', name: 'pods', type: 'ptp' }
  writeFileSync(conf('10-pods.conf'), JSON.stringify(single))
  plugin.install()
  expect(readdirSync(places.confFolder)).toEqual(['10-pods.conflist'])
  removePlugin(places)
  expect(readdirSync(places.confFolder)).toEqual(['10-pods.conf'])
  expect(JSON.parse(readFileSync(conf('10-pods.conf'), 'utf8'))).toEqual(single)
})

test('repairs what others change', async () => {
  const { places, plugin, conf, types } = node()
  writeFileSync(conf('10-pods.conflist'), list)
  const stop = new AbortController()
  const running = plugin.run(stop.signal)
  await vi.waitFor(() => expect(types('10-pods.conflist')).toEqual(['ptp', pluginType]))
  writeFileSync(conf('10-pods.conflist'), list)
  await vi.waitFor(() => expect(types('10-pods.conflist')).toEqual(['ptp', pluginType]), 3000)
  writeFileSync(conf('05-newer.conflist'), list)
  await vi.waitFor(() => expect(types('05-newer.conflist')).toEqual(['ptp', pluginType]), 3000)
  rmSync(join(places.binFolder, pluginType))
  await vi.waitFor(() => expect(existsSync(join(places.binFolder, pluginType))).toBe(true), 3000)
  stop.abort()
  await running
})
