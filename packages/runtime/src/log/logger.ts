// The logger that programs are handed. A child adds fields or a scope; all children of one logger share its level.
import { type Fields, formatLine, type LogFormat, type LogLevel, logLevels } from './format.ts'
import { createSink, type Sink } from './sink.ts'

export interface Logger {
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  log(level: LogLevel, message: string, fields?: Fields): void
  /** A logger that adds these fields to each line. A field named `scope` replaces the scope instead. */
  child(fields: Fields): Logger
  /** Changes the level of this logger, its parents and its children. */
  setLevel(level: LogLevel): void
  level(): LogLevel
  /** True if a line of this level would be written; ask before building costly fields. */
  enabled(level: LogLevel): boolean
  /** Writes everything out now; called by runProgram at the end. */
  flush(): void
}

export interface LoggerOptions {
  readonly program: string
  readonly format?: LogFormat
  readonly level?: LogLevel
  /** Where lines go; standard output by default. Tests hand in their own. */
  readonly sink?: Sink
  readonly clock?: () => number
}

interface Shared {
  threshold: number
  readonly format: LogFormat
  readonly sink: Sink
  readonly clock: () => number
}

class LineLogger implements Logger {
  readonly #shared: Shared
  readonly #scope: string
  readonly #fields: Fields | undefined

  constructor(shared: Shared, scope: string, fields: Fields | undefined) {
    this.#shared = shared
    this.#scope = scope
    this.#fields = fields
  }

  log(level: LogLevel, message: string, fields?: Fields): void {
    if (!this.enabled(level)) return
    const all = this.#fields && fields ? { ...this.#fields, ...fields } : (fields ?? this.#fields ?? {})
    const line = { level, timeMs: this.#shared.clock(), scope: this.#scope, message, fields: all }
    this.#shared.sink.write(formatLine(this.#shared.format, line))
  }

  debug(message: string, fields?: Fields): void {
    this.log('debug', message, fields)
  }

  info(message: string, fields?: Fields): void {
    this.log('info', message, fields)
  }

  warn(message: string, fields?: Fields): void {
    this.log('warn', message, fields)
  }

  error(message: string, fields?: Fields): void {
    this.log('error', message, fields)
  }

  child(fields: Fields): Logger {
    const { scope, ...rest } = fields
    const name = typeof scope === 'string' ? scope : this.#scope
    return new LineLogger(this.#shared, name, { ...this.#fields, ...rest })
  }

  setLevel(level: LogLevel): void {
    this.#shared.threshold = logLevels.indexOf(level)
  }

  level(): LogLevel {
    return logLevels[this.#shared.threshold] ?? 'info'
  }

  enabled(level: LogLevel): boolean {
    return logLevels.indexOf(level) >= this.#shared.threshold
  }

  flush(): void {
    this.#shared.sink.flush()
  }
}

/** Makes the logger of a program; its scope is the program's name until a child sets another. */
export function createLogger(options: LoggerOptions): Logger {
  const shared: Shared = {
    threshold: logLevels.indexOf(options.level ?? 'info'),
    format: options.format ?? 'text',
    sink: options.sink ?? createSink(1),
    clock: options.clock ?? Date.now,
  }
  return new LineLogger(shared, options.program, undefined)
}
