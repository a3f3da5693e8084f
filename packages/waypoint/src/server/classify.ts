// Tells HTTP/1.1, HTTP/2, TLS and anything else apart by the first bytes of a connection. Pure parsing of hostile input.

export type Sniffed = 'http1' | 'http2' | 'tls' | 'other'

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const maxMethodLength = 24

/** Decides on as few bytes as possible. */
export function classify(bytes: Buffer): Sniffed | 'undecided' {
  if (bytes.length === 0) return 'undecided'
  if (bytes[0] === 0x16) return bytes.length < 3 ? 'undecided' : bytes[1] === 3 ? 'tls' : 'other'
  const shared = Math.min(bytes.length, preface.length)
  if (bytes.compare(preface, 0, shared, 0, shared) === 0) return shared === preface.length ? 'http2' : 'undecided'
  return classifyHttp1(bytes)
}

/** "<token> <target> HTTP/1." on the first line; the line itself may still be on its way. */
function classifyHttp1(bytes: Buffer): Sniffed | 'undecided' {
  let at = 0
  while (at < bytes.length && at <= maxMethodLength && isMethodCharacter(bytes[at]!)) at++
  if (at === 0 || at > maxMethodLength) return 'other'
  if (at === bytes.length) return 'undecided'
  if (bytes[at] !== 0x20) return 'other'
  if (at + 1 === bytes.length) return 'undecided'
  const target = bytes[at + 1]!
  // Origin form, absolute form, "*", authority form; protocols such as SMTP, FTP or IRC send CRLF-ended words too,
  // so the version at the end of the line decides where the line is there.
  if (target <= 0x20 || target >= 0x7f) return 'other'
  const end = bytes.indexOf(0x0a)
  if (end < 0) return bytes.length > 65_536 ? 'other' : target === 0x2f ? 'http1' : 'undecided'
  return bytes.subarray(0, end).includes(' HTTP/1.') ? 'http1' : 'other'
}

function isMethodCharacter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x2d || byte === 0x5f
}
