// Long-running programs of the cluster: started detached, found again by process id and start time, so that a recycled
// process id is never taken for ours.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { paths } from './settings.ts'
import { until } from './shell.ts'

export interface ProcessRecord {
  readonly pid: number
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTime: string
  readonly bootId: string
}

const folder = (): string => join(paths.state, 'processes')

// The new process writes its own record before it becomes the program: a starter killed at any moment leaves none behind
// that is not known. `exec` keeps process id and start time.
const wrapper = `read -r stat < /proc/$$/stat
set -- "$stat" "$@"
rest=\${1##*) }
shift
record=$1
shift
start=$(printf %s "$rest" | cut -d' ' -f20)
printf '%s %s %s\\n' "$$" "$start" "$(cat /proc/sys/kernel/random/boot_id)" > "$record.new"
mv "$record.new" "$record"
exec "$@"`

/** Starts a program with its output appended to NAME.log, in a session of its own. Returns when its record is written. */
export async function start(
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessRecord> {
  mkdirSync(folder(), { recursive: true })
  mkdirSync(paths.logs, { recursive: true })
  const log = openSync(join(paths.logs, `${name}.log`), 'a')
  rmSync(join(folder(), name), { force: true })
  const child = spawn('/bin/sh', ['-c', wrapper, 'sh', join(folder(), name), ...command], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'] ?? '', HOME: '/root', WISHBONE_CLUSTER_STATE: paths.state, ...env },
  })
  child.on('error', () => undefined)
  child.unref()
  closeSync(log)
  await until(() => recordOf(name) !== undefined, 10_000, 5)
  const record = recordOf(name)
  if (record === undefined) throw new Error(`${name} did not start; see ${join(paths.logs, `${name}.log`)}`)
  return record
}

export function recordOf(name: string): ProcessRecord | undefined {
  try {
    return parseProcessRecord(readFileSync(join(folder(), name), 'utf8'))
  } catch {
    return undefined
  }
}

export function parseProcessRecord(text: string): ProcessRecord | undefined {
  const match = /^(\d+) (\d+) ([0-9a-f-]{36})\n$/.exec(text)
  return match ? { pid: Number(match[1]), startTime: match[2]!, bootId: match[3]! } : undefined
}

/** Fields of /proc/PID/stat; the command's name before them may contain anything, also spaces and parentheses. */
export function parseStat(text: string): {
  readonly state: string
  readonly parent: number
  readonly startTime: string
} {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', parent: Number(fields[1]), startTime: fields[19] ?? '' }
}

function statOf(pid: number): ReturnType<typeof parseStat> | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/** Whether any process has this id, ours or not. */
export function isProcess(pid: number): boolean {
  return statOf(pid) !== undefined
}

/** Zombies count as gone. */
export function isAlive(record: ProcessRecord | undefined): boolean {
  if (record === undefined || record.bootId !== bootId()) return false
  const stat = statOf(record.pid)
  return stat !== undefined && stat.startTime === record.startTime && stat.state !== 'Z' && stat.state !== 'X'
}

/** The first child of a recorded process: a node's init below its `unshare`. */
export function childOf(record: ProcessRecord): ProcessRecord | undefined {
  if (!isAlive(record)) return undefined
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined
    if (stat?.parent === record.pid) return { pid, startTime: stat.startTime, bootId: record.bootId }
  }
  return undefined
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

export function signalTo(record: ProcessRecord | undefined, signal: NodeJS.Signals): void {
  if (!isAlive(record)) return
  try {
    process.kill(record!.pid, signal)
  } catch {
    // It ended just now.
  }
}

/** Ends one program and waits for it: politely first, by force after `graceMs`. */
export async function stop(name: string, graceMs = 5000): Promise<void> {
  const record = recordOf(name)
  signalTo(record, 'SIGTERM')
  if (!(await until(() => !isAlive(record), graceMs))) {
    signalTo(record, 'SIGKILL')
    if (!(await until(() => !isAlive(record), 10_000)))
      throw new Error(`${name} (process ${record?.pid}) does not end, not even by SIGKILL`)
  }
  rmSync(join(folder(), name), { force: true })
}
