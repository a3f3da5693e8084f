// One IP address: text to bytes and back (RFC 4291 §2.2, RFC 5952). Zones ("%eth0") are refused.

/** Four bytes (IPv4) or sixteen (IPv6), in network order. */
export type IpBytes = Uint8Array

/** Parses dotted IPv4 (no leading zeros) or IPv6 text; undefined when it is neither. */
export function parseIp(text: string): IpBytes | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

function parseIpv4(text: string): IpBytes | undefined {
  if (text.length < 7 || text.length > 15) return undefined
  const bytes = new Uint8Array(4)
  let part = 0
  let digits = 0
  let value = 0
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i)
    if (code === 46) {
      if (digits === 0 || part > 3) return undefined
      bytes[part++] = value
      digits = 0
      value = 0
    } else if (code >= 48 && code <= 57) {
      // "010" is octal to some parsers and decimal to others: refuse it.
      if (digits > 0 && value === 0) return undefined
      value = value * 10 + code - 48
      digits++
      if (value > 255) return undefined
    } else return undefined
  }
  return part === 4 ? bytes : undefined
}

function parseIpv6(text: string): IpBytes | undefined {
  if (text.length < 2 || text.length > 45) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : []
  if (head === undefined || tail === undefined) return undefined
  const count = head.length + tail.length
  if (halves.length === 2 ? count > 14 : count !== 16) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head, 0)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** The bytes of colon-separated groups; an IPv4 tail is allowed where the address ends. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]!
    if (last && i === groups.length - 1 && group.includes('.')) {
      const tail = parseIpv4(group)
      if (tail === undefined) return undefined
      bytes.push(...tail)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 255)
    }
  }
  return bytes
}

/** Formats 4 or 16 bytes; IPv6 as RFC 5952 says (lower case, longest run of zeros compressed). Throws RangeError on any other length. */
export function formatIp(bytes: IpBytes): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`)
  if (isMapped(bytes)) return `::ffff:${formatIp(bytes.subarray(12))}`
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!)
  const run = longestZeroRun(groups)
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':')
  return run.length < 2
    ? hex(groups)
    : `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > best.length) best = { start: i, length }
  }
  return best
}

function isMapped(bytes: IpBytes): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 255 && bytes[11] === 255
}

/** An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes its IPv4 address; anything else is returned as it is. */
export function canonicalIp(bytes: IpBytes): IpBytes {
  return bytes.length === 16 && isMapped(bytes) ? bytes.subarray(12) : bytes
}

/** The text under which an address is indexed: equal for equal addresses, mapped or not. */
export function ipKey(bytes: IpBytes): string {
  return formatIp(canonicalIp(bytes))
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(bytes: IpBytes): boolean {
  const ip = canonicalIp(bytes)
  if (ip.length === 4) return ip[0] === 127
  for (let i = 0; i < 15; i++) if (ip[i] !== 0) return false
  return ip[15] === 1
}
