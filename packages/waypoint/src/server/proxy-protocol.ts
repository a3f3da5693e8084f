// The PROXY protocol, versions 1 and 2: what a load balancer in front says of the client before its first byte. Pure.
import { canonicalIp, type IpBytes, parseIp } from '@wishbone/core/ip'

export interface ProxyAddress {
  readonly ip: IpBytes
  readonly port: number
}

export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string }
  /** `client` undefined: the balancer speaks for itself (LOCAL, UNKNOWN), or of no IP address. */
  | { readonly kind: 'header'; readonly length: number; readonly client: ProxyAddress | undefined }

const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const signature1 = Buffer.from('PROXY ', 'latin1')
const longest1 = 107
/** Addresses take 36 bytes at most; what may follow them is bounded too. */
const longest2 = 16 + 4_096

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return { kind: 'incomplete' }
  if (startsAs(bytes, signature2)) return bytes.length < 16 ? { kind: 'incomplete' } : parse2(bytes)
  if (startsAs(bytes, signature1)) return parse1(bytes)
  return { kind: 'invalid', reason: 'it does not begin with a PROXY protocol header' }
}

function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const shared = Math.min(bytes.length, signature.length)
  return bytes.compare(signature, 0, shared, 0, shared) === 0
}

function parse1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, longest1).indexOf('\r\n')
  if (end < 0)
    return bytes.length < longest1 ? { kind: 'incomplete' } : { kind: 'invalid', reason: 'its line is too long' }
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { kind: 'header', length, client: undefined }
  const [, family, source = '', destination = '', ...ports] =
    /^PROXY (TCP[46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line) ?? []
  const size = family === 'TCP4' ? 4 : 16
  const ip = parseIp(source)
  const isSound = parseIp(destination)?.length === size && ports.every((port) => Number(port) <= 65_535)
  if (ip?.length !== size || !isSound) return { kind: 'invalid', reason: 'its line can not be read' }
  return { kind: 'header', length, client: { ip: canonicalIp(ip), port: Number(ports[0]) } }
}

function parse2(bytes: Buffer): ProxyHeader {
  const command = bytes[12]!
  const length = 16 + bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) return { kind: 'invalid', reason: 'its version or command is unknown' }
  if (length > longest2) return { kind: 'invalid', reason: 'it is too long' }
  if (bytes.length < length) return { kind: 'incomplete' }
  const family = bytes[13]! >> 4
  if (command === 0x20 || (family !== 1 && family !== 2)) return { kind: 'header', length, client: undefined }
  const size = family === 1 ? 4 : 16
  if (length < 16 + 2 * size + 4) return { kind: 'invalid', reason: 'it is too short for its addresses' }
  const ip = canonicalIp(Uint8Array.from(bytes.subarray(16, 16 + size)))
  return { kind: 'header', length, client: { ip, port: bytes.readUInt16BE(16 + 2 * size) } }
}
