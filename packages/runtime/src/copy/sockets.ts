// TCP to TCP copy for connections that are not tunnelled. No framing, no policy.
import type net from 'node:net'
import type { Copy } from './types.ts'

/**
 * Copies a to b and b to a until both directions have ended. Takes both sockets over: the callers must not use them afterwards.
 * FIN is passed on each direction by itself, RST resets the other side (ambient wire §1.8).
 */
export function copySockets(a: net.Socket, b: net.Socket): Copy {
  throw new Error(`not yet: ${a.remotePort} ${b.remotePort}`)
}
