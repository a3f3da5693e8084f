// Waiting for what a cluster does in its own time.
import { delay } from '@wishbone/runtime/lifecycle'

let interrupted: string | undefined

/** From now on every `until` rejects with this reason, so that whoever waits goes back and puts in order what it changed. */
export function interruptWaits(reason: string): void {
  interrupted = reason
}

/** A try may be under way when the time is over; one that does not end at all must not hold up everything after it. */
const lastTryMs = 60_000

/** Asks again until `probe` gives something, at most `timeoutMs`; then says what was awaited and what was last seen. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const end = Date.now() + timeoutMs
  let last = 'nothing seen'
  for (;;) {
    if (interrupted !== undefined) throw new Error(interrupted)
    const answered = new AbortController()
    const hung = delay(end + lastTryMs - Date.now(), answered.signal).then(() => {
      throw new Error('the last try did not end')
    })
    hung.catch(() => undefined)
    try {
      const seen = await Promise.race([probe(), hung])
      if (seen !== undefined && seen !== false) return seen
    } catch (cause) {
      last = (cause as Error).message
    } finally {
      answered.abort()
    }
    if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s for ${what} in vain (${last})`)
    await delay(100)
  }
}
