// Runs a bounded number of requests at once, the urgent ones first.
import { MeshError } from '@wishbone/core/errors'

/** realtime: a connection waits. warmup: one will soon. background: a renewal with time left. */
export type Priority = 'realtime' | 'warmup' | 'background'

const order: readonly Priority[] = ['realtime', 'warmup', 'background']

interface Waiting {
  readonly key: string
  priority: Priority
  readonly start: () => void
  readonly cancel: () => void
}

export class FetchQueue {
  readonly #maxParallel: number
  #running = 0
  #waiting: Waiting[] = []

  constructor(maxParallel: number) {
    this.#maxParallel = maxParallel
  }

  /** Settles as `task` does, once it got its turn; rejects when cancelled before. */
  run<T>(key: string, priority: Priority, task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const start = () => {
        this.#running++
        Promise.resolve()
          .then(task)
          .finally(() => {
            this.#running--
            this.#next()
          })
          .then(resolve, reject)
      }
      const cancel = () => reject(new MeshError('certificate-unavailable', `${key} is not needed any more`))
      this.#waiting.push({ key, priority, start, cancel })
      this.#next()
    })
  }

  /** A connection waits for what was only being prepared. */
  raise(key: string, priority: Priority): void {
    for (const one of this.#waiting) if (one.key === key) one.priority = priority
  }

  /** Whether one waited; what has begun goes on. */
  cancel(key: string): boolean {
    const gone = this.#waiting.filter((one) => one.key === key)
    this.#waiting = this.#waiting.filter((one) => one.key !== key)
    for (const one of gone) one.cancel()
    return gone.length > 0
  }

  #next(): void {
    while (this.#running < this.#maxParallel && this.#waiting.length > 0) {
      let best = 0
      for (let i = 1; i < this.#waiting.length; i++) {
        if (order.indexOf(this.#waiting[i]!.priority) < order.indexOf(this.#waiting[best]!.priority)) best = i
      }
      this.#waiting.splice(best, 1)[0]!.start()
    }
  }
}
