// Waits for something in the mesh's state, driven by its changes and not by polling.
import type { MeshState } from '@wishbone/core/mesh'

/** The first value of `look` that is defined, now or after a change within `timeoutMs`; else undefined. */
export function waitForState<T>(
  state: MeshState,
  timeoutMs: number,
  signal: AbortSignal,
  look: () => T | undefined,
): Promise<T | undefined> {
  const now = look()
  if (now !== undefined || signal.aborted) return Promise.resolve(now)
  return new Promise((resolve) => {
    const finish = (value: T | undefined): void => {
      clearTimeout(timer)
      stop()
      signal.removeEventListener('abort', onAbort)
      resolve(value)
    }
    const onAbort = (): void => finish(undefined)
    const timer = setTimeout(() => finish(look()), timeoutMs)
    const stop = state.onChange(() => {
      const value = look()
      if (value !== undefined) finish(value)
    })
    signal.addEventListener('abort', onAbort)
  })
}
