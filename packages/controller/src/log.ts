// The part of a logger that this program's parts need; the runtime's logger has this shape.
export { messageOf } from '@wishbone/runtime/kube'

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
