// Lines that a stranger can cause at will: of equal ones the first is written at once, then one for each window with the
// count of those that were left out, so that neither the log fills nor anything is hidden.

export interface RepeatsOptions {
  /** Default 10 s. */
  readonly windowMs?: number
  /** Kinds of lines in one window; all beyond count as one kind. Default 200. */
  readonly kinds?: number
}

/** Writes the line; `left` are the fields to add to it. */
type Write = (left: { readonly suppressed?: number }) => void

interface Window {
  count: number
  last: Write | undefined
}

const others = ''

export class Repeats {
  readonly #windowMs: number
  readonly #kinds: number
  readonly #windows = new Map<string, Window>()

  constructor({ windowMs = 10_000, kinds = 200 }: RepeatsOptions = {}) {
    this.#windowMs = windowMs
    this.#kinds = kinds
  }

  /** `key`: what makes two lines equal. It should not have what every connection has anew, as a client's port. */
  write(key: string, write: Write): void {
    const kind = this.#windows.has(key) || this.#windows.size < this.#kinds ? key : others
    const window = this.#windows.get(kind)
    if (window !== undefined) {
      window.count++
      window.last = write
      return
    }
    this.#windows.set(kind, { count: 0, last: undefined })
    this.#wait(kind)
    write({})
  }

  #wait(kind: string): void {
    setTimeout(() => this.#end(kind), this.#windowMs).unref()
  }

  #end(kind: string): void {
    const window = this.#windows.get(kind)
    if (window?.last === undefined) {
      this.#windows.delete(kind)
      return
    }
    const { count, last } = window
    window.count = 0
    window.last = undefined
    this.#wait(kind)
    last(count > 1 ? { suppressed: count - 1 } : {})
  }
}
