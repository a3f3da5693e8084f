// What the comparisons need of the machine: programs by name, a compiled load generator, processor time of processes.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Something that a comparison needs is not here; the message says how to get it. */
export class Missing extends Error {}

const packages: Readonly<Record<string, string>> = {
  wrk: 'wrk',
  nginx: 'nginx-light',
  gcc: 'gcc',
  xz: 'xz-utils',
  taskset: 'util-linux',
}

function has(program: string): boolean {
  return (process.env['PATH'] ?? '')
    .split(':')
    .concat('/usr/sbin', '/sbin')
    .some((folder) => existsSync(join(folder, program)))
}

/** Makes sure that the programs are there; installs Debian packages only with CI=true or --install. */
export function need(...programs: readonly string[]): void {
  const missing = programs.filter((program) => !has(program))
  if (missing.length === 0) return
  const names = missing.map((program) => packages[program] ?? program)
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`
  if (process.env['CI'] !== 'true' && !process.argv.includes('--install')) {
    throw new Missing(`${missing.join(', ')} is missing: ${command}   (or run again with --install)`)
  }
  spawnSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 2, 2] })
  const done = spawnSync('sh', ['-c', `DEBIAN_FRONTEND=noninteractive ${command}`], { stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Missing(`could not install ${names.join(', ')}; run: ${command}`)
}

/** The load generator of bench/l4load.c, compiled once per version of the source. */
export function l4load(): string {
  const source = fileURLToPath(new URL('l4load.c', import.meta.url))
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wishbone')
  const binary = join(folder, `l4load-${digest}`)
  if (existsSync(binary)) return binary
  need('gcc')
  mkdirSync(folder, { recursive: true })
  const done = spawnSync('gcc', ['-O2', '-pthread', '-o', binary, source], { stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Missing(`gcc could not compile ${source}`)
  return binary
}

/** Processor seconds (user + system) used so far by every process whose command line has all of these words. */
export function cpuSeconds(...words: readonly string[]): number {
  const ticksPerSecond = 100
  let ticks = 0
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      if (
        !words.every((word) => line.includes(word)) ||
        line.startsWith('nsenter') ||
        line.startsWith('unshare') ||
        line.startsWith('sh ')
      )
        continue
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks / ticksPerSecond
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export interface Row {
  readonly what: string
  readonly ours: number
  readonly peer: number
  readonly base?: number
  readonly unit: string
  /** ours ÷ peer must be at least this. */
  readonly floor?: number
  /** Smaller is better: the ratio is still ours ÷ peer. */
  readonly note?: string
}

const number = (value: number): string =>
  Number.isNaN(value) ? '–' : value >= 100 ? value.toFixed(0) : value.toPrecision(3)

/** Prints rows as a table; false when some row is under its floor. */
export function printRows(title: string, peer: string, rows: readonly Row[]): boolean {
  const lines = rows.map((row) => {
    const ratio = row.ours / row.peer
    const under = row.floor !== undefined && !(ratio >= row.floor)
    const verdict = row.floor === undefined ? '' : under ? `UNDER ${row.floor}` : `≥ ${row.floor}`
    return [
      row.what,
      row.base === undefined ? '–' : number(row.base),
      number(row.peer),
      number(row.ours),
      row.unit,
      ratio.toFixed(2),
      verdict,
    ]
  })
  const table = [['', 'no proxy', peer, 'wishbone', 'unit', 'ratio', 'floor'], ...lines]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)))
  process.stdout.write(`\n${title}\n`)
  for (const line of table)
    process.stdout.write(
      `  ${line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
  return rows.every((row) => row.floor === undefined || row.ours / row.peer >= row.floor)
}
