import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Secret } from '../secret/index.ts'
import { createLogger, createSink, type LogFormat } from './index.ts'

function capture(format: LogFormat) {
  const lines: string[] = []
  const sink = { write: (text: string) => void lines.push(text), flush: () => {}, dropped: 0 }
  return { lines, log: createLogger({ program: 'ztunnel', format, level: 'debug', sink, clock: () => 0 }) }
}

test('JSON has level, time, scope and message first, then the fields', () => {
  const { lines, log } = capture('json')
  log
    .child({ scope: 'access', node: 'n1' })
    .info('connection complete', { 'src.addr': '10.0.0.1:1', n: 3, absent: undefined })
  expect(lines).toEqual([
    '{"level":"info","time":"1970-01-01T00:00:00.000Z","scope":"access","message":"connection complete","node":"n1","src.addr":"10.0.0.1:1","n":3}\n',
  ])
})

test('text is tab-separated; values with spaces are quoted and nothing can forge a line', () => {
  const { lines, log } = capture('text')
  log.warn('bad\nname', { error: new Error('no\troute', { cause: new Error('down') }), uid: 'a-b' })
  log.info('plain')
  expect(lines).toEqual([
    '1970-01-01T00:00:00.000Z\twarn\tztunnel\tbad\\nname\terror="no\\troute: down" uid=a-b\n',
    '1970-01-01T00:00:00.000Z\tinfo\tztunnel\tplain\n',
  ])
})

test.each<LogFormat>(['json', 'text'])('%s has no control characters that a terminal would obey', (format) => {
  const { lines, log } = capture(format)
  log.info('a\x9bm', { word: '\x1b[2J', list: ['\x00', '\x7f'], quoted: '" \x9b2J' })
  expect(lines[0]).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/)
  if (format === 'json') expect(JSON.parse(lines[0]!)).toMatchObject({ list: ['\x00', '\x7f'], quoted: '" \x9b2J' })
})

test.each<LogFormat>(['json', 'text'])('%s shows no secret, wherever it hides', (format) => {
  const { lines, log } = capture(format)
  const key = new Secret('hunter2')
  log.error(`with ${key}`, { key, deep: { list: [key] }, bytes: new Uint8Array(32), big: 1n })
  expect(lines[0]).not.toContain('hunter2')
  expect(lines[0]).toContain('[redacted]')
})

test('what cannot be serialised is still one line', () => {
  const { lines, log } = capture('json')
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  log.info('circle', { circle })
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ message: 'circle' })
})

test('the level is shared by all children', () => {
  const { lines, log } = capture('text')
  const child = log.child({ a: 1 })
  log.setLevel('error')
  child.info('hidden')
  child.error('shown')
  expect(lines).toHaveLength(1)
  expect(child.enabled('warn')).toBe(false)
})

const here = new URL('./index.ts', import.meta.url).pathname
const program = (body: string) => [
  '--input-type=module',
  '-e',
  `import { createLogger } from ${JSON.stringify(here)}; const log = createLogger({ program: 'p', format: 'json' }); ${body}`,
]

test('everything written before the exit arrives, in order', async () => {
  const child = spawn(process.execPath, program('for (let i = 0; i < 5000; i++) log.info("m", { i }); process.exit(0)'))
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  await once(child, 'close')
  const numbers = text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { i: number }).i)
  expect(numbers).toEqual(Array.from({ length: 5000 }, (_, i) => i))
})

test('a reader that goes away costs lines, not the program', async () => {
  const child = spawn(
    process.execPath,
    program('setInterval(() => log.info("m".repeat(1000)), 1); setTimeout(() => process.exit(7), 300)'),
  )
  child.stdout.destroy()
  const [code] = await once(child, 'close')
  expect(code).toBe(7)
})

test('a reader that does not read costs lines, not memory or time', async () => {
  const child = spawn(
    process.execPath,
    program('for (let i = 0; i < 30000; i++) log.info("m".repeat(1000)); setTimeout(() => process.exit(7), 100)'),
  )
  child.stdout.pause()
  const [code] = await once(child, 'exit')
  expect(code).toBe(7)
  child.stdout.destroy()
})

test('a disk that is full for a while costs the lines of that while, not all that come', () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'sink-'))
  const file = join(folder, 'log')
  const sink = createSink(fs.openSync(file, 'w'))
  vi.useFakeTimers()
  const say = (line: string) => {
    sink.write(`${line}\n`)
    sink.flush()
  }
  try {
    say('before')
    const write = vi.spyOn(fs, 'writeSync').mockImplementationOnce((fd) => {
      fs.appendFileSync(fd, 'cut o')
      return 5
    })
    write.mockImplementationOnce(() => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    })
    say('cut off')
    say('lost')
    vi.advanceTimersByTime(1_000)
    say('after')
    expect(fs.readFileSync(file, 'utf8')).toBe(
      'before\ncut o\nafter\n2 log lines were dropped because their reader is slow or gone\n',
    )
    expect(sink.dropped).toBe(2)
  } finally {
    vi.restoreAllMocks()
    vi.useRealTimers()
    fs.rmSync(folder, { recursive: true })
  }
})

test('lines are counted once, however long the disk stays full', () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'sink-'))
  const file = join(folder, 'log')
  const sink = createSink(fs.openSync(file, 'w'))
  vi.useFakeTimers()
  const write = vi.spyOn(fs, 'writeSync')
  try {
    for (let second = 0; second < 3; second++) {
      write.mockImplementationOnce(() => {
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      })
      sink.write('lost\n')
      sink.flush()
      vi.advanceTimersByTime(1_000)
    }
    sink.write('after\n')
    sink.flush()
    expect(fs.readFileSync(file, 'utf8')).toBe('after\n3 log lines were dropped because their reader is slow or gone\n')
    expect(sink.dropped).toBe(3)
  } finally {
    vi.restoreAllMocks()
    vi.useRealTimers()
    fs.rmSync(folder, { recursive: true })
  }
})

test('what several write to the standard output stays whole lines, however slow their reader', async () => {
  const source = `
    import { createLogger, createSink } from ${JSON.stringify(here)}
    const log = createLogger({ program: 'p', format: 'json' })
    const access = createSink(1)
    let i = 0
    const timer = setInterval(() => {
      log.info('l'.repeat(30_000))
      access.write(JSON.stringify({ message: 'a'.repeat(30_000) }) + '\\n')
      if (++i === 40) clearInterval(timer)
    }, 5)
    setTimeout(() => {}, 1_500)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source])
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += String(chunk)
    child.stdout.pause()
    setTimeout(() => child.stdout.resume(), 10)
  })
  await once(child, 'close')
  const lines = text.trim().split('\n')
  expect(lines).toHaveLength(80)
  for (const line of lines) expect((JSON.parse(line) as { message: string }).message).toMatch(/^(?:l{30000}|a{30000})$/)
}, 30_000)
