// Small helpers of this package's tests.
import type { Log } from '../src/log.ts'

/** Looks every 5 ms until `look` gives something truthy; throws after 5 s, naming what was waited for. */
export async function eventually<T>(what: string, look: () => T | undefined | false): Promise<T> {
  const end = performance.now() + 5_000
  for (;;) {
    const found = look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`waited 5 s for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface Recorder extends Log {
  readonly lines: readonly string[]
}

/** A log that keeps its lines: "level message {fields}". */
export function recorder(): Recorder {
  const lines: string[] = []
  const at = (level: string) => (message: string, fields?: unknown) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`)
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
