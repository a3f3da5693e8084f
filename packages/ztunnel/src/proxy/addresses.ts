// Addresses of sockets in the form that state and logs use.
import type net from 'node:net'
import { formatSocketAddress, ipKey, parseIp } from '@wishbone/core/ip'

/** Canonical text: IPv4 that arrived on an IPv6 socket is IPv4. */
export function canonicalText(ip: string | undefined): string {
  const bytes = ip === undefined ? undefined : parseIp(ip)
  return bytes === undefined ? (ip ?? '') : ipKey(bytes)
}

export function remoteText(socket: net.Socket): string {
  return formatSocketAddress(canonicalText(socket.remoteAddress), socket.remotePort ?? 0)
}
