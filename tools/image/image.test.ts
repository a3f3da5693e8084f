import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Entry } from './entry.ts'
import { exampleImages } from './examples.ts'
import { fullName } from './oci.ts'
import { checkout } from './place.ts'
import { settings } from './settings.ts'
import { writeTar } from './tar.ts'

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'wishbone-image-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const tar = (...args: string[]): string => spawnSync('tar', args, { cwd: folder, encoding: 'utf8' }).stdout

test('an archive depends on the content only, and tar reads it', () => {
  const long = `a/${'long-name/'.repeat(12)}é`
  const file = join(folder, 'source')
  writeFileSync(file, 'content', { mode: 0o700 })
  const entries: Entry[] = [
    { kind: 'copy', path: 'bin/program', from: file, executable: true },
    { kind: 'text', path: long, text: 'far down' },
    { kind: 'link', path: 'var/run', target: '/run' },
    { kind: 'folder', path: 'tmp', mode: 0o1777 },
  ]
  const first = writeTar(join(folder, 'a.tar'), entries)
  utimesSync(file, 1, 1)
  const second = writeTar(join(folder, 'b.tar'), entries.toReversed())
  expect(second.digest).toBe(first.digest)
  const listing = tar('--utc', '-tvf', 'a.tar')
  expect(listing).toMatch(/^drwxrwxrwt 0\/0 +0 1970-01-01 00:00 tmp\/$/m)
  expect(listing).toMatch(/^-rwxr-xr-x 0\/0 +7 1970-01-01 00:00 bin\/program$/m)
  expect(listing).toMatch(/var\/run -> \/run$/m)
  expect(tar('-xOf', 'a.tar', long)).toBe('far down')
})

test.each([
  ['wishbone:0.1.0', 'docker.io/library/wishbone:0.1.0'],
  ['wishbone/toolbox:0.1.0', 'docker.io/wishbone/toolbox:0.1.0'],
  ['localhost/a:1', 'localhost/a:1'],
  ['registry.example:5000/a/b:1', 'registry.example:5000/a/b:1'],
])('the full name of %s is %s', (name, expected) => {
  expect(fullName(name)).toBe(expected)
})

test('the images of the examples run in the folders of the examples', () => {
  const toolbox = exampleImages().find(({ name }) => name === 'wishbone/toolbox:0.1.0')
  expect(toolbox?.settings).toMatchObject({
    entrypoint: ['node', '--disable-warning=ExperimentalWarning', 'src/server.ts'],
    workingDir: '/opt/wishbone/examples/toolbox',
  })
})

test('the Dockerfile says what the archive says', () => {
  const text = readFileSync(join(checkout, 'deploy/image/Dockerfile'), 'utf8').replaceAll('\\\n', '')
  const final = text.slice(text.indexOf('FROM scratch'))
  const env = [...final.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value])
  expect(Object.fromEntries(env)).toEqual(settings.env)
  expect(final).toContain(`USER ${settings.user}\n`)
  expect(final).toContain(`WORKDIR ${settings.workingDir}\n`)
  expect(final).toContain(`ENTRYPOINT ${JSON.stringify(settings.entrypoint).replaceAll(',', ', ')}\n`)
  const node = readFileSync(join(checkout, '.node-version'), 'utf8').trim()
  expect(text).toContain(`ARG NODE_VERSION=${node}\n`)
})
