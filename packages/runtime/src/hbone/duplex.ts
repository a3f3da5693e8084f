// A tunnel as a Node stream.
import { Duplex } from 'node:stream'
import type { Tunnel } from './types.ts'

/** Looks enough like a net.Socket for `http.Server.emit('connection', …)`; the address fields may be set. */
export class TunnelDuplex extends Duplex {
  remoteAddress: string
  remotePort: number
  remoteFamily: string
  localAddress = ''
  localPort = 0
  readonly tunnel: Tunnel

  constructor(tunnel: Tunnel) {
    super({ allowHalfOpen: true })
    this.tunnel = tunnel
    this.remoteAddress = tunnel.remoteAddress
    this.remotePort = tunnel.remotePort
    this.remoteFamily = tunnel.remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
  }
}

export function toDuplex(tunnel: Tunnel): TunnelDuplex {
  return new TunnelDuplex(tunnel)
}
