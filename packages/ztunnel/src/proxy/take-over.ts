// Taking a pod over from a ztunnel that serves it: not before whatever comes can be served as well, for who listens is handed
// everything as soon as the other one ends. States: waiting → (failed → waiting a little)* → listening, or closed with its proxy.
import { delay } from '@wishbone/runtime/lifecycle'
import { closeFd, dupFd } from '@wishbone/runtime/os'
import type { PodProxy } from './pod-proxy.ts'
import { isServed } from './successor.ts'

const limitMs = 30_000
const pollMs = 200
const againMs = 5_000

export interface TakeOverOptions {
  /** Whether everything is there that connections of the pod need. */
  able(proxy: PodProxy): boolean
  /** It did not work, and is going to be tried again. */
  failed(cause: unknown): void
  /** A proxy that could not listen is replaced by a fresh one; undefined when the pod has gone. */
  replace(failed: PodProxy, nsFd: number): PodProxy | undefined
  done(proxy: PodProxy): void
}

/** Who cannot tell (there may be no descriptor left to ask with) waits on. */
function servedStill({ nsFd }: PodProxy): boolean {
  try {
    return isServed(nsFd)
  } catch {
    return true
  }
}

export class TakeOver {
  readonly #options: TakeOverOptions
  readonly #hurry = new AbortController()
  readonly #first = Promise.withResolvers<void>()
  #waiting = true

  constructor(proxy: PodProxy, options: TakeOverOptions) {
    this.#options = options
    // Who wants to know asks for it.
    this.#first.promise.catch(() => undefined)
    this.#run(proxy)
      .catch(this.#first.reject)
      .finally(() => {
        this.#waiting = false
      })
  }

  /** Not yet tried. */
  get waiting(): boolean {
    return this.#waiting
  }

  /** Tries now. Resolves when we listen; rejects with the reason if the first try failed. */
  now(): Promise<void> {
    this.#hurry.abort()
    return this.#first.promise
  }

  async #run(first: PodProxy): Promise<void> {
    const { able, failed, replace, done } = this.#options
    const { signal } = this.#hurry
    for (const deadline = performance.now() + limitMs; performance.now() < deadline; await delay(pollMs, signal))
      if (signal.aborted || first.state !== 'starting' || able(first) || !servedStill(first)) break
    for (let proxy: PodProxy | undefined = first; proxy?.state === 'starting'; ) {
      let spare: number | undefined
      try {
        spare = dupFd(proxy.nsFd)
        await proxy.start()
        closeFd(spare)
        done(proxy)
        break
      } catch (cause) {
        this.#first.reject(cause)
        this.#waiting = false
        failed(cause)
        // Without a descriptor to spare (there may be one again later) it was not even started.
        if (spare !== undefined) proxy = replace(proxy, spare)
        await delay(againMs)
      }
    }
    this.#first.resolve()
  }
}
