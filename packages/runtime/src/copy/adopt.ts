// Takes the handle out of a net.Socket.
import type net from 'node:net'

export interface AdoptedSocket {
  readonly socket: net.Socket
}

export function adoptSocket(socket: net.Socket): AdoptedSocket {
  return { socket }
}
