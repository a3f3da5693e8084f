// Whether another ztunnel listens in a pod's namespace: the kernel says it, whoever it is.
import { ports } from '@wishbone/core/names'
import { countListeners } from '@wishbone/runtime/os'

/** Before we listen: somebody does. False where the kernel cannot tell. */
export function isServed(nsFd: number): boolean {
  return countListeners(nsFd, ports.hbone) > 0
}

/** While we listen: somebody else does, too. Where the kernel cannot tell, anybody may: true. */
export function hasSuccessor(nsFd: number): boolean {
  return countListeners(nsFd, ports.hbone) !== 1
}
