// The `forwarded` header of a CONNECT: for="<ip:port>";host=<hostname> (ambient wire §1.2, RFC 7239).
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from '../ip/socket.ts'

export interface Forwarded {
  /** The client's address. */
  readonly for?: SocketAddress
  /** The hostname of the service that the client addressed. */
  readonly host?: string
}

export function formatForwarded(forwarded: Forwarded): string {
  const parts: string[] = []
  if (forwarded.for !== undefined) parts.push(`for="${formatSocketAddress(forwarded.for.ip, forwarded.for.port)}"`)
  if (forwarded.host !== undefined && /^[\w.*-]+$/.test(forwarded.host)) parts.push(`host=${forwarded.host}`)
  return parts.join(';')
}

/** Reads the first element of the header; what is malformed is left out. */
export function parseForwarded(text: string): Forwarded {
  const result: { for?: SocketAddress; host?: string } = {}
  const first = text.slice(0, 2048).split(',', 1)[0]!
  for (const pair of first.split(';')) {
    const equals = pair.indexOf('=')
    if (equals < 0) continue
    const key = pair.slice(0, equals).trim().toLowerCase()
    const value = unquote(pair.slice(equals + 1).trim())
    if (key === 'for' && result.for === undefined) {
      const address = parseSocketAddress(value)
      if (address !== undefined) result.for = address
    } else if (key === 'host' && result.host === undefined && /^[\w.*-]{1,253}$/.test(value)) result.host = value
  }
  return result
}

function unquote(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"')
    ? value.slice(1, -1).replace(/\\(.)/g, '$1')
    : value
}
