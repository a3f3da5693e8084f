// Long work in pieces: between two of them the event loop turns, so that what arrives meanwhile does not wait for all of it.

/** Yields wherever others may come between. */
export type Steps<T> = Generator<void, T, void>

/** What one piece took: `cpuMs` is this thread's own, without what other processes took of the processor. */
export interface TurnCost {
  readonly wallMs: number
  readonly cpuMs: number
}

export interface InTurnsOptions {
  /** A piece ends with the step that passes this. */
  readonly limitMs?: number
  readonly onTurn?: ((cost: TurnCost) => void) | undefined
  readonly now?: () => number
}

/** Half of what anyone notices, with room for the step that passes it and for a collection of garbage. */
const defaultLimitMs = 4

/** Runs the steps in order: the result at once if they need no second turn, else a promise of it. Throws what they throw. */
export function inTurns<T>(steps: Steps<T>, options: InTurnsOptions = {}): T | Promise<T> {
  const first = runTurn(steps, options)
  return first.done ? first.value : rest(steps, options)
}

async function rest<T>(steps: Steps<T>, options: InTurnsOptions): Promise<T> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve))
    const next = runTurn(steps, options)
    if (next.done) return next.value
  }
}

function runTurn<T>(steps: Steps<T>, options: InTurnsOptions): IteratorResult<void, T> {
  const { limitMs = defaultLimitMs, onTurn, now = () => performance.now() } = options
  const began = now()
  const cpu = onTurn && process.threadCpuUsage()
  try {
    for (;;) {
      const next = steps.next()
      if (next.done || now() - began >= limitMs) return next
    }
  } finally {
    if (cpu !== undefined) {
      const { user, system } = process.threadCpuUsage()
      onTurn?.({ wallMs: now() - began, cpuMs: (user + system - cpu.user - cpu.system) / 1_000 })
    }
  }
}
