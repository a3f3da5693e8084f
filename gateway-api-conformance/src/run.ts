// Runs the suite, tells of each test as it ends, and keeps everything it printed in a file.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'
import { createReader, type Result, type TestEvent } from './output.ts'

export interface Ended {
  readonly test: string
  readonly result: Result
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
/** Before an error the last words are shown too: they tell what was waited for. */
const shownWords = 4
const shownCharacters = 400

/** The outcome of every test that ran or was skipped, in the order of their ends, and whether the suite itself was well. */
export async function runSuite(
  options: RunOptions,
): Promise<{ readonly ended: readonly Ended[]; readonly ok: boolean }> {
  const { print } = options
  const ended: Ended[] = []
  /** What each failing test said, ready to be printed. */
  const complaints = new Map<string, string[]>()
  /** By our clock: Go's leaves out the time of parallel parts. */
  const startedMs = new Map<string, number>()
  /** The last words of each test and part of one. */
  const words = new Map<string, string[]>()
  const onEvent = (event: TestEvent): void => {
    const [top, test, ...below] = event.test.split('/')
    if (top !== root) return
    if (event.kind === 'start') {
      startedMs.set(event.test, performance.now())
      return
    }
    if (event.kind === 'log') {
      if (event.text.trim() !== '') keep(words, event.test, event.text, shownWords)
      return
    }
    // What is no test's is the suite's own: setting up and cleaning up.
    const owner = test ?? root
    if (event.kind === 'error') {
      if (below.length > 0) keep(complaints, owner, `in ${below.join('/')}:`)
      for (const text of [...(words.get(event.test) ?? []), event.text]) keep(complaints, owner, text)
      words.delete(event.test)
      return
    }
    words.delete(event.test)
    if (below.length > 0) return
    if (test !== undefined) {
      const seconds = (performance.now() - (startedMs.get(event.test) ?? Number.NaN)) / 1000
      ended.push({ test, result: event.result })
      if (event.result === 'skipped' && options.ignored(test)) return
      print(`${event.result.padEnd(8)}${test.padEnd(64)}${seconds.toFixed(1).padStart(7)} s`)
    }
    for (const text of complaints.get(owner) ?? []) print(indented(text))
    complaints.delete(owner)
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
  // Go reports no end of a test that fails while it cleans up.
  for (const [owner, texts] of complaints) {
    print(`failed  ${owner === root ? 'while setting up or cleaning up' : owner}`)
    for (const text of texts) print(indented(text))
  }
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
    .map((line) => `        ${line.trimEnd().slice(0, shownCharacters)}`)
    .join('\n')
}
