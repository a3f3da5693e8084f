// Values that must never be printed: private keys, tokens. A Secret shows itself as [redacted]
// wherever it is serialised, logged or inspected; reveal() is the one way to the value.
import { inspect } from 'node:util'

const REDACTED = '[redacted]'

/** Holds a value that redacts itself in JSON, template strings and `util.inspect`. */
export class Secret<T = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. Call it only where the value is used, never where it is stored or logged. */
  reveal(): T {
    return this.#value
  }

  toJSON(): string {
    return REDACTED
  }

  toString(): string {
    return REDACTED
  }

  [Symbol.toPrimitive](): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
