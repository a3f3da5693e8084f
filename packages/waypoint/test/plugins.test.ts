// Plugins are loaded from a folder; the example is one.
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '@wishbone/runtime/log'
import { afterEach, expect, test } from 'vitest'
import { pluginsFrom } from '../src/program/plugins.ts'
import { startWorld, to, type World } from './harness.ts'
import { ask, echo } from './servers.ts'

const log = createLogger({ program: 'test', sink: { write() {}, flush() {}, dropped: 0 } })
let world: World | undefined

afterEach(() => world?.waypoint.close())

test('the quota of examples/waypoint-plugin', async () => {
  process.env['QUOTA_PER_MINUTE'] = '2'
  const app = await echo('app')
  const folder = join(import.meta.dirname, '../../../examples/waypoint-plugin/src')
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], { plugins: pluginsFrom(folder, log) })
  const answers = [await ask(world.port), await ask(world.port), await ask(world.port)]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
  expect(answers.map(({ headers }) => headers['x-quota-left'])).toEqual(['1', '0', undefined])
  await expect.poll(() => world?.accessLog.at(-1)).toMatchObject({ status: 429, quota: 'exceeded', detail: 'plugin' })
  app.close()
})

test('a module that is no plugin is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plugins-'))
  await writeFile(join(folder, 'broken.mjs'), 'export const nothing = 1')
  await expect(startWorld({}, [], { plugins: pluginsFrom(folder, log) })).rejects.toThrow(
    /broken\.mjs has no default export/,
  )
})
