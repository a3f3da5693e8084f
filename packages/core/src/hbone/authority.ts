// The target of a CONNECT (ambient wire §1.1): an address, or the hostname of a service; always with a port.
import { formatSocketAddress, parsePort, parseSocketAddress } from '../ip/socket.ts'

export type Authority =
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: number }

const hostnameForm = /^(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/

/** Parses an authority. User information, paths, port 0 and names without a port are refused (undefined). Hostnames become lower case, without a final dot. */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > 262) return undefined
  const address = parseSocketAddress(text)
  if (address !== undefined) return address.port === 0 ? undefined : { kind: 'address', ...address }
  const colon = text.lastIndexOf(':')
  const port = colon <= 0 ? undefined : parsePort(text.slice(colon + 1))
  if (port === undefined || port === 0) return undefined
  const hostname = text.slice(0, colon)
  if (!hostnameForm.test(hostname) || hostname.includes('..')) return undefined
  // All digits and dots is a broken address ("1.2.3:80", "1.2.3.04:80"), not a name.
  if (/^[0-9.]+$/.test(hostname)) return undefined
  return { kind: 'hostname', hostname: hostname.replace(/\.$/, '').toLowerCase(), port }
}

export function formatAuthority(authority: Authority): string {
  return authority.kind === 'address'
    ? formatSocketAddress(authority.ip, authority.port)
    : `${authority.hostname}:${authority.port}`
}
