// Socket addresses as the kernel reads them (struct sockaddr_in, sockaddr_in6, sockaddr_un).
import { canonicalIp, formatIp, parseIp } from '@wishbone/core/ip'

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10

/** An address and port as text; the ip is canonical (IPv4-mapped IPv6 is shown as IPv4). */
export interface Endpoint {
  readonly ip: string
  readonly port: number
}

/** @throws Error if the text is no IP address */
export function ipBytes(ip: string): Uint8Array {
  const bytes = parseIp(ip)
  if (!bytes) throw new Error(`"${ip}" is not an IP address`)
  return bytes
}

export function encodeAddress(ip: string, port: number): Buffer {
  const bytes = ipBytes(ip)
  const address = Buffer.alloc(bytes.length === 4 ? 16 : 28)
  address.writeUInt16LE(bytes.length === 4 ? AF_INET : AF_INET6, 0)
  address.writeUInt16BE(port, 2)
  address.set(bytes, bytes.length === 4 ? 4 : 8)
  return address
}

/** undefined for a family other than IPv4 and IPv6. */
export function decodeAddress(address: Buffer): Endpoint | undefined {
  const family = address.readUInt16LE(0)
  const port = address.readUInt16BE(2)
  if (family === AF_INET) return { ip: formatIp(address.subarray(4, 8)), port }
  if (family === AF_INET6) return { ip: formatIp(canonicalIp(address.subarray(8, 24))), port }
  return undefined
}

/** A path in the file system, at most 107 bytes. */
export function encodeUnixAddress(path: string): Buffer {
  const bytes = Buffer.from(path)
  if (bytes.length > 107) throw new Error(`the socket path "${path}" is longer than 107 bytes`)
  const address = Buffer.alloc(2 + bytes.length + 1)
  address.writeUInt16LE(AF_UNIX, 0)
  bytes.copy(address, 2)
  return address
}
