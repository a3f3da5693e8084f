// The fast path: one tunnel to one TCP socket.
import type net from 'node:net'
import type { Copy } from '../copy/types.ts'
import type { Tunnel } from './types.ts'

/** Copies between a tunnel and a connected TCP socket until both directions have ended. Takes both over. `sent` counts socket to tunnel. */
export function pipeSocket(tunnel: Tunnel, socket: net.Socket): Copy {
  throw new Error(`not yet: ${tunnel.streamId} ${socket.remotePort}`)
}
