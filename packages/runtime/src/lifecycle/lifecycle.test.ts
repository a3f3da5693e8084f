import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { backoff, delay } from './index.ts'

test('a backoff grows to its maximum, starts again after a success, and stays within its jitter', () => {
  const plain = backoff({ firstMs: 10, maxMs: 50, jitter: 0 })
  expect([plain.next(), plain.next(), plain.next(), plain.next()]).toEqual([10, 20, 40, 50])
  plain.reset()
  expect(plain.next()).toBe(10)
  expect(backoff({ firstMs: 100, maxMs: 100, random: () => 1 }).next()).toBe(80)
})

test('a delay ends when its signal is aborted', async () => {
  const controller = new AbortController()
  const started = performance.now()
  setTimeout(() => controller.abort(), 5)
  await delay(10_000, controller.signal)
  await delay(10_000, controller.signal)
  expect(performance.now() - started).toBeLessThan(1000)
})

const folder = new URL('..', import.meta.url).pathname
const preloaded = ['--import', `${folder}lifecycle/preload.ts`]

async function run(main: string, signals: NodeJS.Signals[] = [], drainMs = 300, options: readonly string[] = []) {
  const source = `
    import { createLogger } from '${folder}log/index.ts'
    import { runProgram } from '${folder}lifecycle/index.ts'
    const log = createLogger({ program: 'p' })
    await runProgram(${main}, { log, drainMs: ${drainMs} })`
  const child = spawn(process.execPath, [...options, '--input-type=module', '-e', source])
  let output = ''
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  child.stdout.on('data', (chunk) => {
    output += String(chunk)
    if (output.includes('started')) for (const signal of signals.splice(0)) child.kill(signal)
  })
  const [code] = await once(child, 'close')
  return { code: code as number, output }
}

const started = (dispose: string) =>
  `async ({ log }) => { setInterval(() => {}, 1000); log.info('started'); return { async [Symbol.asyncDispose]() { ${dispose} } } }`

test('SIGTERM drains and ends with 0', async () => {
  const { code, output } = await run(started('log.info("disposed")'), ['SIGTERM'])
  expect(code).toBe(0)
  expect(output).toMatch(/draining.*reason=SIGTERM[\s\S]*disposed[\s\S]*ended/)
})

test('SIGTERM ends a program whose modules are being loaded, and drains it once it runs', async () => {
  const loading = spawn(process.execPath, [...preloaded, '--input-type=module', '-e', 'setInterval(console.log, 10)'])
  loading.stdout.once('data', () => loading.kill('SIGTERM'))
  expect(await once(loading, 'close')).toEqual([143, null])
  const { code, output } = await run(started('log.info("disposed")'), ['SIGTERM'], 300, preloaded)
  expect(code).toBe(0)
  expect(output).toMatch(/disposed[\s\S]*ended/)
})

test('a drain that takes too long is cut off with a warning', async () => {
  const { code, output } = await run(started('await new Promise(() => {})'), ['SIGTERM'])
  expect(code).toBe(0)
  expect(output).toMatch(/warn.*drain took longer/)
})

test('a start that hangs is cut off as well', async () => {
  const hangs = 'async ({ log }) => { setInterval(() => {}, 1000); log.info("started"); await new Promise(() => {}) }'
  const { code, output } = await run(hangs, ['SIGTERM'])
  expect(code).toBe(0)
  expect(output).toMatch(/warn.*drain took longer/)
})

test('a drain without a limit that a timer can have is not cut off', async () => {
  const slow = 'await new Promise((resolve) => setTimeout(resolve, 200)); log.info("disposed")'
  const { output } = await run(started(slow), ['SIGTERM'], 2 ** 31 + 5_000)
  expect(output).toMatch(/disposed[\s\S]*ended/)
})

test.each([
  ['a failure to start', `async () => { throw new Error('no root file') }`, /error.*could not start.*no root file/],
  [
    'an error that nobody caught',
    `async () => { setTimeout(() => { throw new Error('boom') }, 1); return { async [Symbol.asyncDispose]() {} } }`,
    /error.*uncaught.*boom/,
  ],
  [
    'a rejection that nobody handled',
    `async () => { Promise.reject(new Error('boom')); await new Promise(() => {}) }`,
    /error.*rejection.*boom/,
  ],
])('%s is logged and ends with 1', async (_name, main, expected) => {
  const { code, output } = await run(main)
  expect(code).toBe(1)
  expect(output).toMatch(expected)
})
