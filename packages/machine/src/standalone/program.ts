// One start of one program as an ordinary child process: its output goes to a log, its readiness is asked for over HTTP.
import { type ChildProcess, spawn } from 'node:child_process'
import { get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { openLog } from '../kubelet/logs.ts'

export interface Launch {
  readonly program: 'controller' | 'waypoint'
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly logPath: string
}

export interface RunningProgram {
  readonly child: ChildProcess
  /** Its exit status; 128 + 9 where a signal ended it. */
  readonly ended: Promise<number>
}

const parent = fileURLToPath(new URL('./parent.ts', import.meta.url))
const mainOf = (program: string): string => fileURLToPath(new URL(`../../../${program}/src/main.ts`, import.meta.url))

export function startProgram({ program, environment, logPath }: Launch): RunningProgram {
  const log = openLog(logPath)
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', parent, mainOf(program)],
    // A group of its own: ^C is for the one who started it, who ends it in order.
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...environment }, detached: true },
  )
  child.stdin.on('error', () => {})
  child.stdout.on('data', (chunk: Buffer) => log.write(chunk))
  child.stderr.on('data', (chunk: Buffer) => log.write(chunk))
  const ended = new Promise<number>((resolve) => {
    child.on('error', (cause) => {
      log.write(Buffer.from(`${cause.message}\n`))
      resolve(126)
    })
    child.on('close', (code) => resolve(code ?? 137))
  })
  void ended.then(() => log.close())
  return { child, ended }
}

/** Undefined when ready, else what the program says that it waits for. Never rejects. */
export function askReadiness(url: string, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: timeoutMs, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(response.statusCode === 200 ? undefined : text.trim() || 'not ready'))
      response.on('error', (cause) => resolve(cause.message))
    })
    request.on('timeout', () => request.destroy(new Error('it does not answer')))
    request.on('error', (cause) => resolve(cause.message))
  })
}
