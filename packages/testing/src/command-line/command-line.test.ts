import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { leadingComment } from './index.ts'

test('the help is the comment at the head', () => {
  expect(leadingComment('// npm run x: what it does.\n//   --a  more\n\n// not this\n')).toBe(
    'npm run x: what it does.\n  --a  more\n',
  )
})

test.each([
  'bench/main.ts',
  'tools/image/main.ts',
  'tools/cluster/main.ts',
  'examples/demo/src/main.ts',
  'examples/demo/src/e2e.ts',
])('%s says how it is used', (path) => {
  const file = fileURLToPath(new URL(`../../../../${path}`, import.meta.url))
  const run = (...args: string[]) => spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' })
  const helped = run('--help')
  expect(helped.stdout).toMatch(/npm run/)
  expect(helped.status).toBe(0)
  const wrong = run('--no-such-thing')
  expect(wrong.stderr).toMatch(/^Unknown option '--no-such-thing'[\s\S]*npm run/m)
  expect(wrong.stderr).not.toMatch(/^ +at /m)
  expect(wrong.status).toBe(2)
})
