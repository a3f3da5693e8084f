// Running other programs, waiting, and telling the operator what happens.
import { execFile, spawnSync } from 'node:child_process'

/** A failure that the operator can act on: shown without a stack. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
}

const startedAt = performance.now()

/** One line of progress on stderr, with the seconds since the command began. */
export function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)
  process.stderr.write(`${seconds} s  ${text}\n`)
}

export interface Outcome {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
}

/** Runs a program to its end and returns what it said; a missing program is a failure like any other. */
export function attempt(command: readonly string[], options: RunOptions = {}): Outcome {
  const [program = '', ...args] = command
  const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...options })
  const stderr = done.error === undefined ? done.stderr : `${done.error.message}\n${done.stderr ?? ''}`
  return { ok: done.status === 0, stdout: done.stdout ?? '', stderr }
}

/** @throws ClusterError with the program's own words when it fails */
export function run(command: readonly string[], options: RunOptions = {}): string {
  const { ok, stdout, stderr } = attempt(command, options)
  if (!ok) throw new ClusterError(`'${command.join(' ')}' failed: ${stderr.trim() || stdout.trim()}`)
  return stdout
}

/** As `run`, beside other work. */
export function runBeside(command: readonly string[]): Promise<string> {
  const [program = '', ...args] = command
  return new Promise((resolve, reject) => {
    execFile(program, args, { maxBuffer: 64 << 20 }, (failure, stdout, stderr) =>
      failure === null
        ? resolve(stdout)
        : reject(new ClusterError(`'${command.join(' ')}' failed: ${stderr.trim() || failure.message}`)),
    )
  })
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Asks every `everyMs` until the answer is true; false when it never was. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 50,
): Promise<boolean> {
  for (const end = performance.now() + timeoutMs; ; ) {
    if (await condition()) return true
    if (performance.now() > end) return false
    await sleep(everyMs)
  }
}
