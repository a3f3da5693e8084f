// Bundles a burst of changes into one run: after a quiet moment, but never later than a limit. Runs never overlap.

export interface DebounceOptions {
  readonly quietMs: number
  readonly maxMs: number
}

export class Debouncer implements Disposable {
  readonly #run: () => void | Promise<void>
  readonly #options: DebounceOptions
  #timer: NodeJS.Timeout | undefined
  #firstMs: number | undefined
  #running = false
  #closed = false

  /** `run` must not throw. */
  constructor(run: () => void | Promise<void>, options: DebounceOptions) {
    this.#run = run
    this.#options = options
  }

  /** Says that something changed. */
  poke(): void {
    if (this.#closed) return
    const now = performance.now()
    this.#firstMs ??= now
    if (this.#running) return
    clearTimeout(this.#timer)
    const wait = Math.min(this.#options.quietMs, this.#firstMs + this.#options.maxMs - now)
    this.#timer = setTimeout(() => void this.#fire(), Math.max(0, wait))
  }

  async #fire(): Promise<void> {
    this.#timer = undefined
    this.#firstMs = undefined
    this.#running = true
    try {
      await this.#run()
    } finally {
      this.#running = false
      if (this.#firstMs !== undefined) this.poke()
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }
}
