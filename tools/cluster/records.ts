// What this tool has made on the machine, so that exactly that can be removed again, also after a crash of the tool.
// A record is written before the thing is made: a record without its thing is harmless, the reverse is not.
import { appendFileSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'

export type Made =
  | { readonly kind: 'link'; readonly name: string }
  /** Arguments of `ip route`: "blackhole 10.96.0.0/16 metric 4096". */
  | { readonly kind: 'route'; readonly route: string }
  | { readonly kind: 'table'; readonly family: 'inet'; readonly table: string }
  /** Only removed when empty. */
  | { readonly kind: 'directory'; readonly path: string }
  /** Put back to `before` if it still has the value `set`. */
  | { readonly kind: 'sysctl'; readonly key: string; readonly before: string; readonly set: string }
  /** A folder below every hierarchy of /sys/fs/cgroup that was not there before. */
  | { readonly kind: 'cgroup'; readonly path: string }

/**
 * The records of a file of JSON lines, oldest first and without repetitions. A last line that was cut short by a crash,
 * or that is not JSON, is left out: the thing that it announced had not been made yet.
 */
export function parseRecords(text: string): readonly Made[] {
  const seen = new Map<string, Made>()
  for (const line of text.split('\n')) {
    try {
      const made = JSON.parse(line) as Made
      if (typeof made === 'object' && made !== null && typeof made.kind === 'string') seen.set(keyOf(made), made)
    } catch {
      // Half a line.
    }
  }
  return [...seen.values()]
}

/** The first value of a setting counts, whatever it was changed to later. */
function keyOf(made: Made): string {
  return made.kind === 'sysctl' ? `sysctl ${made.key}` : JSON.stringify(made)
}

export class Records {
  readonly #file: string
  readonly #known: Map<string, Made>

  constructor(file: string) {
    this.#file = file
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    this.#known = new Map(parseRecords(text).map((made) => [keyOf(made), made]))
  }

  get all(): readonly Made[] {
    return [...this.#known.values()]
  }

  has(made: Made): boolean {
    return this.#known.has(keyOf(made))
  }

  /** Returns when the record is on disk. */
  add(made: Made): void {
    if (this.has(made)) return
    this.#known.set(keyOf(made), made)
    mkdirSync(dirname(this.#file), { recursive: true })
    appendFileSync(this.#file, `\n${JSON.stringify(made)}`)
    const fd = openSync(this.#file, 'r')
    fsyncSync(fd)
    closeSync(fd)
  }

  /** After everything has been removed. */
  clear(): void {
    rmSync(this.#file, { force: true })
    this.#known.clear()
  }
}
