// From changes in the cluster to configuration on the wire: snapshot → translate → encode → publish, a moment after each
// burst of changes. A translation that fails leaves the last configuration in force.
import { encode } from './encode/index.ts'
import { Debouncer, freezeSnapshot, type Store } from './kube/index.ts'
import type { Log } from './log.ts'
import type { Obstacle, ResourceSet, Settings, Snapshot, Translation } from './model/index.ts'
import { RouteMemory, translate } from './translate/index.ts'

export interface PipelineOptions {
  readonly store: Store
  /** Read at each run: the roots are known only after a while. */
  readonly settings: () => Settings
  readonly blocked: () => ReadonlyMap<string, Obstacle>
  readonly publish: (resources: ResourceSet) => void
  readonly onTranslation: (translation: Translation) => void
  readonly onOutcome?: (outcome: 'ok' | 'failed', milliseconds: number) => void
  readonly log: Log
  readonly clock?: () => number
}

/** Even if nothing changes and no time limit is known; catches up with clocks that jump. */
const idleRunMs = 60_000

export class Pipeline implements Disposable {
  readonly #options: PipelineOptions
  readonly #debouncer: Debouncer
  readonly #memory = new RouteMemory()
  #timer: NodeJS.Timeout | undefined
  #snapshot: Snapshot | undefined
  #translation: Translation | undefined
  #error: string | undefined

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#debouncer = new Debouncer(() => this.#run(), { quietMs: 20, maxMs: 100 })
  }

  /** Says that something changed. */
  poke(): void {
    this.#debouncer.poke()
  }

  /** What the last successful translation was made of, and what it made. */
  get last(): { readonly snapshot: Snapshot; readonly translation: Translation } | undefined {
    const [snapshot, translation] = [this.#snapshot, this.#translation]
    return snapshot === undefined || translation === undefined ? undefined : { snapshot, translation }
  }

  /** Why the last translation failed; undefined if it did not. */
  get error(): string | undefined {
    return this.#error
  }

  #run(): void {
    const { store, log, clock = Date.now } = this.#options
    // Half a cluster would be translated into the removal of the other half.
    if (store.pending().length > 0) return
    const started = performance.now()
    const now = clock()
    let recheckMs = idleRunMs
    try {
      const snapshot: Snapshot = { ...freezeSnapshot(store, now), blocked: this.#options.blocked() }
      const translation = translate(snapshot, this.#options.settings(), this.#memory)
      this.#options.publish(encode(translation.mesh))
      this.#snapshot = snapshot
      this.#translation = translation
      this.#error = undefined
      this.#options.onTranslation(translation)
      if (translation.recheckAtUnixMs !== undefined)
        recheckMs = Math.min(idleRunMs, Math.max(50, translation.recheckAtUnixMs - now))
      const milliseconds = performance.now() - started
      this.#options.onOutcome?.('ok', milliseconds)
      log.debug('translated', { milliseconds: Math.round(milliseconds * 10) / 10 })
    } catch (cause) {
      const message = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
      if (message !== this.#error)
        log.error('cannot translate the cluster; the last configuration stays in force', {
          error: cause,
          stack: message,
        })
      this.#error = message
      this.#options.onOutcome?.('failed', performance.now() - started)
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.poke(), recheckMs)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#debouncer[Symbol.dispose]()
  }
}
