// What only the leader does: write infrastructure and statuses of the newest translation, one round at a time. What failed
// is tried again with growing pauses.
import { backoff } from '@wishbone/runtime/lifecycle'
import type { Deployer } from './deploy/index.ts'
import type { EventWriter } from './events/index.ts'
import { Debouncer } from './kube/index.ts'
import type { Translation } from './model/index.ts'
import type { StatusWriter, WriteResult } from './status/index.ts'

export interface LeaderOptions {
  readonly deployer: Deployer
  readonly statuses: StatusWriter
  readonly events: Pick<EventWriter, 'write'>
  readonly onWritten?: (what: 'infrastructure' | 'status' | 'event', result: WriteResult) => void
}

const lookAgainMs = 6_000

export class Leader implements AsyncDisposable {
  readonly #options: LeaderOptions
  readonly #rounds: Debouncer
  readonly #waits = backoff({ firstMs: 500, maxMs: 30_000 })
  #abort = new AbortController()
  #translation: Translation | undefined
  #leading = false
  #retry: NodeJS.Timeout | undefined
  #round: Promise<void> = Promise.resolve()

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#rounds = new Debouncer(() => (this.#round = this.#write()), { quietMs: 0, maxMs: 0 })
  }

  get leading(): boolean {
    return this.#leading
  }

  setLeading(leading: boolean): void {
    this.#leading = leading
    this.#abort.abort()
    if (!leading) return
    this.#abort = new AbortController()
    this.#options.deployer.reset()
    this.#options.statuses.reset()
    this.#rounds.poke()
  }

  submit(translation: Translation): void {
    this.#translation = translation
    if (this.#leading) this.#rounds.poke()
  }

  async #write(): Promise<void> {
    const translation = this.#translation
    const { signal } = this.#abort
    if (translation === undefined || signal.aborted || !this.#leading) return
    const { deployer, statuses, events, onWritten } = this.#options
    // At the same time: a status must not wait for a Deployment, nor the other way round.
    const [infra, status, event] = await Promise.all([
      deployer.reconcile(translation.infra, signal),
      statuses.write(translation.statuses, signal),
      events.write(translation.events, signal),
    ])
    onWritten?.('infrastructure', infra)
    onWritten?.('status', status)
    onWritten?.('event', event)
    clearTimeout(this.#retry)
    const pauses: number[] = []
    if (infra.failed + status.failed + event.failed > 0) pauses.push(this.#waits.next())
    else this.#waits.reset()
    // Somebody may have deleted what was just made before the store had shown it: look again when it must have.
    if (infra.written > 0) pauses.push(lookAgainMs)
    for (const { laterMs } of [status, event]) if (laterMs !== undefined) pauses.push(laterMs)
    if (pauses.length === 0) return
    this.#retry = setTimeout(() => this.#rounds.poke(), Math.min(...pauses))
    this.#retry.unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#retry)
    this.#rounds[Symbol.dispose]()
    this.#abort.abort()
    await this.#round
  }
}
