// The part of a logger that this program's parts need; the runtime's logger has this shape.

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** The text of whatever was thrown, with its causes' texts. */
export function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const code = (cause as NodeJS.ErrnoException).code
  const own = cause.message !== '' ? cause.message : (code ?? cause.name)
  return cause.cause instanceof Error && !own.includes(cause.cause.message) ? `${own}: ${messageOf(cause.cause)}` : own
}
