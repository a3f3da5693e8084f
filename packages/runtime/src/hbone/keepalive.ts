// Notices a dead peer: a PING every so often, and the end when nothing at all has been heard for too long (ambient wire §1.5).

export interface KeepaliveActions {
  ping(opaque: Uint8Array): void
  dead(): void
}

const opaque = Buffer.from('wishbone')

export class Keepalive {
  readonly #timer: NodeJS.Timeout
  #heard = true
  #silentMs = 0

  constructor(
    settings: { readonly pingIntervalMs: number; readonly pingTimeoutMs: number },
    actions: KeepaliveActions,
  ) {
    this.#timer = setInterval(() => {
      this.#silentMs = this.#heard ? 0 : this.#silentMs + settings.pingIntervalMs
      this.#heard = false
      if (this.#silentMs >= settings.pingTimeoutMs) actions.dead()
      else actions.ping(opaque)
    }, settings.pingIntervalMs)
    this.#timer.unref()
  }

  /** Anything that arrives is a sign of life. */
  heard(): void {
    this.#heard = true
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

const roundTripMs = 1_000
const roundTripOpaque = Buffer.from('drained?')

/** Tells when the peer has seen everything sent so far: when it answers a PING of its own kind, or after a second. */
export class RoundTrip {
  #done: (() => void) | undefined

  get pending(): boolean {
    return this.#done !== undefined
  }

  begin(ping: (opaque: Uint8Array) => void, callback: () => void): void {
    const timer = setTimeout(() => this.#done?.(), roundTripMs)
    timer.unref()
    this.#done = () => {
      clearTimeout(timer)
      this.#done = undefined
      callback()
    }
    ping(roundTripOpaque)
  }

  /** A PING was answered, perhaps the one of ours. */
  answered(payload: Uint8Array): void {
    if (roundTripOpaque.equals(payload)) this.#done?.()
  }

  cancel(): void {
    this.#done = undefined
  }
}
