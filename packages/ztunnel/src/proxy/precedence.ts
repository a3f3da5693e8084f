// Who of two ztunnels on one port gets what is new: the one that was first, until it gives way. So nothing waits for a ztunnel that
// has just begun, and nothing is in the queue of one that ends.
import { delay } from '@wishbone/runtime/lifecycle'
import { steerReusePort } from '@wishbone/runtime/os'

/** How much has come to a socket so far; its owner counts. */
export interface Arrivals {
  count: number
}

/** Longer than it takes to accept what is in the queue. */
const quietMs = 100
const limitMs = 2_000

/** For a socket that has just begun: whoever was there before it goes on getting everything. */
export function givePrecedence(fd: number): void {
  steerReusePort(fd, 0)
}

/** Everything new goes to the other socket from now on; settles when nothing new has come for a moment, or after 2 s. */
export async function giveWay(fd: number, arrivals: Arrivals): Promise<void> {
  if (!steerReusePort(fd, 1)) return
  const deadline = performance.now() + limitMs
  for (let round = 1; performance.now() < deadline; round++) {
    const before = arrivals.count
    await delay(quietMs)
    if (arrivals.count === before) return
    // It goes on coming: then number 1 is this socket itself, and the other has number 0.
    if (round === 2) steerReusePort(fd, 0)
  }
}
