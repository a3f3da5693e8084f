// Whether another ztunnel listens in a pod's namespace: the kernel says it, whoever it is.
import { ports } from '@wishbone/core/names'
import { countListeners } from '@wishbone/runtime/os'

/** Before we listen: somebody does. False where the kernel cannot tell. Throws OsError when it cannot be asked now. */
export function isServed(nsFd: number): boolean {
  return countListeners(nsFd, ports.hbone) > 0
}

/**
 * While we listen: somebody else does, too. Where the kernel cannot tell, anybody may: true. False when it cannot be asked now (there
 * may be no descriptor left for that): who gives way to nobody refuses connections.
 */
export function hasSuccessor(nsFd: number): boolean {
  try {
    return countListeners(nsFd, ports.hbone) !== 1
  } catch {
    return false
  }
}
