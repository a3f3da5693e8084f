// Runs the suite, tells of each test as it ends, and keeps everything it printed in a file.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'
import { createReader, type Result, type TestEvent } from './output.ts'

export interface Ended {
  readonly test: string
  readonly result: Result
  readonly seconds: number
}

export interface RunOptions {
  readonly binary: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Where everything that the suite prints goes. */
  readonly logFile: string
  /** Tests whose being skipped is no news. */
  readonly ignored: (test: string) => boolean
  readonly print: (line: string) => void
}

const root = 'TestConformance'
/** Of a failing test the last words are shown besides its errors: what it waited for. */
const shownLogLines = 5

/** The outcome of every test that ran or was skipped, in the order of their ends, and whether the suite itself was well. */
export async function runSuite(
  options: RunOptions,
): Promise<{ readonly ended: readonly Ended[]; readonly ok: boolean }> {
  const { print } = options
  const ended: Ended[] = []
  const errors = new Map<string, string[]>()
  const logs = new Map<string, string[]>()
  const onEvent = (event: TestEvent): void => {
    const [top, test, ...below] = event.test.split('/')
    if (top !== root) return
    // What is no test's is the suite's own: setting up and cleaning up.
    const owner = test ?? root
    if (event.kind === 'log') {
      keep(logs, owner, event.text, shownLogLines)
      return
    }
    const part = below.length > 0 ? `in ${below.join('/')}: ` : ''
    if (event.kind === 'error') {
      keep(errors, owner, `${part}${event.text.trim()}`)
      return
    }
    const failed = event.result === 'failed'
    if (below.length > 0) return
    if (test !== undefined) {
      ended.push({ test, result: event.result, seconds: event.seconds })
      if (event.result === 'skipped' && options.ignored(test)) return
      print(`${event.result.padEnd(8)}${test.padEnd(64)}${event.seconds.toFixed(1).padStart(7)} s`)
    }
    if (failed) for (const text of [...(logs.get(owner) ?? []), ...(errors.get(owner) ?? [])]) print(indented(text))
  }
  const child = spawn(options.binary, options.args, { env: options.env, stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = (signal: NodeJS.Signals): boolean => child.kill(signal)
  process.on('SIGTERM', stop).on('SIGINT', stop)
  const log = createWriteStream(options.logFile)
  const read = createReader(onEvent)
  const lines = [child.stdout, child.stderr].map(async (stream) => {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      log.write(`${line}\n`)
      if (stream === child.stdout) read(line)
      else print(indented(line))
    }
  })
  const code = await new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  await Promise.all(lines)
  process.off('SIGTERM', stop).off('SIGINT', stop)
  await finished(log.end())
  return { ended, ok: code === 0 }
}

function keep(map: Map<string, string[]>, key: string, text: string, limit = Number.POSITIVE_INFINITY): void {
  const kept = map.get(key) ?? []
  map.set(key, kept)
  kept.push(text)
  if (kept.length > limit) kept.shift()
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `        ${line.trimEnd()}`)
    .join('\n')
}
