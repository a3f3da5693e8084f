// The first record of a TLS connection: waiting for it, and the server name in it. It stays in the stream.
import type { Duplex } from 'node:stream'
import { type Decision, readFirstBytes } from './first-bytes.ts'

const recordHeaderBytes = 5
/** RFC 8446 §5.1: a record's fragment has at most 2^14 bytes. */
const maxRecordBytes = recordHeaderBytes + 16_384

/** Resolves with what has arrived when a whole record is there, it can not be TLS, the stream ends, or the time is over. */
export async function readClientHello(stream: Duplex, timeoutMs: number): Promise<Buffer> {
  const first = await readFirstBytes(stream, timeoutMs, firstRecord)
  return first.kind === 'decided' ? first.value : first.bytes
}

function firstRecord(bytes: Buffer): Decision<Buffer> {
  const isTls = bytes[0] === 0x16
  const length = bytes.length < recordHeaderBytes ? maxRecordBytes : recordHeaderBytes + bytes.readUInt16BE(3)
  return isTls && bytes.length < Math.min(length, maxRecordBytes) ? 'more' : { value: bytes, taken: 0 }
}

/** The SNI of a ClientHello in lower case; "" if it has none or is cut off or malformed: NUL is in no name, as OpenSSL has it too. */
export function serverNameOf(bytes: Buffer): string {
  try {
    const name = readServerName(bytes)
    return name.includes('\0') ? '' : name
  } catch {
    return ''
  }
}

function readServerName(bytes: Buffer): string {
  // Record header (5), handshake header (4), version (2), random (32).
  if (bytes[0] !== 0x16 || bytes[5] !== 0x01) return ''
  let at = 43
  at += 1 + bytes.readUInt8(at)
  at += 2 + bytes.readUInt16BE(at)
  at += 1 + bytes.readUInt8(at)
  const end = Math.min(bytes.length, at + 2 + bytes.readUInt16BE(at))
  at += 2
  while (at + 4 <= end) {
    const type = bytes.readUInt16BE(at)
    const length = bytes.readUInt16BE(at + 2)
    at += 4
    if (type === 0) {
      const nameLength = bytes.readUInt16BE(at + 3)
      if (bytes[at + 2] !== 0 || at + 5 + nameLength > bytes.length) return ''
      return bytes.toString('latin1', at + 5, at + 5 + nameLength).toLowerCase()
    }
    at += length
  }
  return ''
}
