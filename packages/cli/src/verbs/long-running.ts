// What verbs share that run until they are stopped: progress on a terminal, names as a person would write them, signals.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Progress: on a terminal one line that changes, elsewhere a line each. */
export function createProgress(stream: NodeJS.WriteStream): {
  show(text: string): void
  say(text: string): void
  done(): void
} {
  let shown = false
  const clear = (): void => {
    if (shown) stream.write('\r\x1b[K')
    shown = false
  }
  return {
    show(text) {
      if (!stream.isTTY) return void stream.write(`${text}\n`)
      clear()
      stream.write(text.slice(0, (stream.columns ?? 80) - 1))
      shown = true
    },
    say(text) {
      clear()
      stream.write(`${text}\n`)
    },
    done: clear,
  }
}

/** How a person calls this command, from the folder they are in. */
export function commandName(): string {
  if (!process.env['WISHBONE_BOOTSTRAP']) return 'wishbone'
  const bootstrap = fileURLToPath(new URL('../../../../tools/bootstrap.mjs', import.meta.url))
  return `node ${near(bootstrap)} wishbone`
}

/** A path as a person here would write it. */
export function near(path: string): string {
  const short = relative('.', path) || '.'
  return short.startsWith('../..') ? path : short
}

/** Resolves with the first signal to stop, and when the bootstrap that started us is gone. */
export function untilToldToStop(): Promise<'stopped'> {
  return new Promise<'stopped'>((accept) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => accept('stopped'))
    // Started by tools/bootstrap.mjs, which can be killed without a word.
    const bootstrap = Number(process.env['WISHBONE_BOOTSTRAP'])
    const gone = (): void => void (process.ppid !== bootstrap && accept('stopped'))
    if (bootstrap === process.ppid) setInterval(gone, 500).unref()
  })
}
