// Socket addresses: "1.2.3.4:80", "[::1]:80".
import { ipKey, parseIp } from './address.ts'

/** `ip` is canonical text (IPv4-mapped addresses appear as IPv4), `port` is 0..65535. */
export interface SocketAddress {
  readonly ip: string
  readonly port: number
}

/** A decimal port without sign or leading zeros, 0..65535; undefined otherwise. */
export function parsePort(text: string): number | undefined {
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65535 ? port : undefined
}

/** Parses an IP address and a port; IPv6 must be in brackets. Undefined when malformed. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return undefined
  const port = parsePort(text.slice(colon + 1))
  if (port === undefined) return undefined
  const bracketed = text.startsWith('[') && text[colon - 1] === ']'
  const host = bracketed ? text.slice(1, colon - 1) : text.slice(0, colon)
  if (bracketed !== host.includes(':')) return undefined
  const ip = parseIp(host)
  return ip === undefined ? undefined : { ip: ipKey(ip), port }
}

/** The inverse of parseSocketAddress; `ip` is taken as it is. */
export function formatSocketAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
