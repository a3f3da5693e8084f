// Networks: an address and a prefix length in bits.
import { canonicalIp, formatIp, type IpBytes, parseIp } from './address.ts'

/** A network; bits of `address` beyond `length` are ignored. */
export interface Cidr {
  readonly address: IpBytes
  readonly length: number
}

/** Parses "10.0.0.0/8", "fd00::/8" or a lone address (full length); undefined when malformed. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const address = parseIp(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  const bits = address.length * 8
  if (slash < 0) return { address, length: bits }
  const tail = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(tail)) return undefined
  const length = Number(tail)
  return length <= bits ? { address, length } : undefined
}

/** The text of a network with the bits beyond its length cleared. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(maskIp(cidr.address, cidr.length))}/${cidr.length}`
}

/** Whether `ip` is in the network `net`/`length`; mapped addresses count as IPv4, other families never match. */
export function inCidr(ip: IpBytes, net: IpBytes, length: number): boolean {
  const address = canonicalIp(ip)
  let network = net
  let bits = length
  if (address.length === 4 && net.length === 16 && length >= 96) {
    network = canonicalIp(net)
    if (network.length === 4) bits = length - 96
  }
  if (address.length !== network.length || bits > address.length * 8) return false
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (address[i] !== network[i]) return false
  const rest = bits & 7
  return rest === 0 || (address[whole]! ^ network[whole]!) >> (8 - rest) === 0
}

/** A copy of `ip` with every bit beyond `length` cleared. */
export function maskIp(ip: IpBytes, length: number): IpBytes {
  const masked = new Uint8Array(ip.length)
  const whole = Math.min(length >> 3, ip.length)
  masked.set(ip.subarray(0, whole))
  const rest = length & 7
  if (rest !== 0 && whole < ip.length) masked[whole] = ip[whole]! & (0xff << (8 - rest))
  return masked
}
