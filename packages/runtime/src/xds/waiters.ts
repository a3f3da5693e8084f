// Those who wait for the answer to a name of an on-demand type.

interface Waiting {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

export class Waiters {
  readonly #waiting = new Map<string, Waiting>()

  wait(typeUrl: string, name: string): Promise<void> {
    const key = `${typeUrl}\0${name}`
    let waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting = { promise, resolve }
      this.#waiting.set(key, waiting)
    }
    return waiting.promise
  }

  /** Whether the name has been asked for and not been answered yet. */
  open(typeUrl: string, name: string): boolean {
    return this.#waiting.has(`${typeUrl}\0${name}`)
  }

  settle(typeUrl: string, name: string): void {
    // Mostly nobody waits, and a response may hold thousands of names.
    if (this.#waiting.size === 0) return
    const key = `${typeUrl}\0${name}`
    this.#waiting.get(key)?.resolve()
    this.#waiting.delete(key)
  }
}
