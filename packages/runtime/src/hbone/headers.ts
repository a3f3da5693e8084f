// Header blocks to frames, and fields to what users see.
import {
  encodeFrameHeader,
  errorCodes,
  flags,
  frameHeaderLength,
  frameTypes,
  H2Error,
  type HeaderField,
} from '@wishbone/core/h2'
import type { Headers } from './types.ts'

/** HEADERS, and CONTINUATION where the peer's frame size demands it, in one buffer. */
export function headerFrames(streamId: number, block: Uint8Array, endStream: boolean, frameSize: number): Buffer {
  const parts: Uint8Array[] = []
  for (let from = 0; from === 0 || from < block.length; from += frameSize) {
    const part = block.subarray(from, from + frameSize)
    const header = new Uint8Array(frameHeaderLength)
    const type = from === 0 ? frameTypes.headers : frameTypes.continuation
    const last = from + frameSize >= block.length ? flags.endHeaders : 0
    encodeFrameHeader(header, 0, part.length, type, last | (from === 0 && endStream ? flags.endStream : 0), streamId)
    parts.push(header, part)
  }
  return Buffer.concat(parts)
}

export interface Message {
  readonly pseudo: Readonly<Record<string, string>>
  readonly headers: Headers
}

const pseudoNames = new Set([':method', ':scheme', ':authority', ':path', ':status'])
/** What no name and no value may have (RFC 9113 §8.2.1). */
const notInName = /[\0-\x20A-Z:\x7f-\xff]/
const notInValue = /[\0\r\n]|^[ \t]|[ \t]$/

/** Splits pseudo-headers from the others. Throws a stream error for what RFC 9113 §8.2 and §8.3 call malformed. */
export function messageOf(fields: readonly HeaderField[], streamId: number): Message {
  const pseudo: Record<string, string> = Object.create(null)
  const headers: Record<string, string> = Object.create(null)
  let regular = false
  for (const [name, value] of fields) {
    if (notInValue.test(value)) throw malformed('a header has a value that none may have', streamId)
    if (pseudoNames.has(name)) {
      if (regular || name in pseudo) throw malformed(`the pseudo-header ${name} is repeated or late`, streamId)
      pseudo[name] = value
    } else {
      if (name === '' || notInName.test(name)) throw malformed('a header has a name that none may have', streamId)
      regular = true
      headers[name] = name in headers ? `${headers[name]},${value}` : value
    }
  }
  return { pseudo, headers }
}

export function malformed(text: string, streamId: number): H2Error {
  return new H2Error(errorCodes.protocolError, text, 'stream', streamId)
}
