// The one error class that crosses module borders in code that does input and output.
import { errorTable, type MeshErrorCode } from './table.ts'

/** Whose fault it is: the one who called, the one who was called, or our own. */
export type MeshErrorAt = 'downstream' | 'upstream' | 'internal'

/** Whether trying again can help: never, always, or only when a reused connection turned out to be dead. */
export type MeshErrorRetry = 'no' | 'yes' | 'if-reused'

export interface MeshErrorOptions {
  readonly at?: MeshErrorAt
  readonly retry?: MeshErrorRetry
  /** What the operator should look at. */
  readonly hint?: string
  readonly cause?: unknown
}

export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: MeshErrorCode
  readonly at: MeshErrorAt
  readonly retry: MeshErrorRetry
  readonly hint: string | undefined

  constructor(code: MeshErrorCode, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.at = options.at ?? 'internal'
    this.retry = options.retry ?? 'no'
    this.hint = options.hint
  }

  /** `cause` itself if it is a MeshError already, else a new one that carries it. */
  static from(
    cause: unknown,
    code: MeshErrorCode = 'internal',
    options: Omit<MeshErrorOptions, 'cause'> = {},
  ): MeshError {
    if (cause instanceof MeshError) return cause
    const message = cause instanceof Error && cause.message !== '' ? cause.message : String(cause)
    return new MeshError(code, message || errorTable[code].title, { ...options, cause })
  }

  /** One line for a log: message, hint and the messages of all causes that say something new. */
  describe(): string {
    const parts = [this.message]
    let cause: unknown = this.cause
    for (let depth = 0; cause instanceof Error && depth < 5; depth++) {
      if (cause.message !== '' && !parts.some((part) => part.includes((cause as Error).message)))
        parts.push(cause.message)
      cause = cause.cause
    }
    const line = parts.join(': ')
    return this.hint === undefined ? line : `${line} (${this.hint})`
  }
}
