// Frames to bytes.
import { errorCodes, flags, frameHeaderLength, frameTypes } from './constants.ts'

/** Writes the nine bytes of a frame's header at `offset`. The buffer must have room. */
export function encodeFrameHeader(
  buffer: Uint8Array,
  offset: number,
  length: number,
  type: number,
  frameFlags: number,
  streamId: number,
): void {
  buffer[offset] = length >>> 16
  buffer[offset + 1] = length >>> 8
  buffer[offset + 2] = length
  buffer[offset + 3] = type
  buffer[offset + 4] = frameFlags
  writeUint32(buffer, offset + 5, streamId)
}

/** A whole frame in one new array. */
export function encodeFrame(type: number, frameFlags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameHeaderLength + payload.length)
  encodeFrameHeader(frame, 0, payload.length, type, frameFlags, streamId)
  frame.set(payload, frameHeaderLength)
  return frame
}

/** A SETTINGS frame; without settings, pass `ack` for the acknowledgement. */
export function encodeSettings(settings: readonly (readonly [id: number, value: number])[], ack = false): Uint8Array {
  const payload = new Uint8Array(settings.length * 6)
  settings.forEach(([id, value], index) => {
    payload[index * 6] = id >>> 8
    payload[index * 6 + 1] = id
    writeUint32(payload, index * 6 + 2, value)
  })
  return encodeFrame(frameTypes.settings, ack ? flags.ack : 0, 0, payload)
}

/** `increment` is 1..2^31-1. */
export function encodeWindowUpdate(streamId: number, increment: number): Uint8Array {
  return encodeFrame(frameTypes.windowUpdate, 0, streamId, uint32(increment))
}

export function encodeRstStream(streamId: number, code: number): Uint8Array {
  return encodeFrame(frameTypes.rstStream, 0, streamId, uint32(code))
}

/** `opaque` has 8 bytes. */
export function encodePing(opaque: Uint8Array, ack = false): Uint8Array {
  return encodeFrame(frameTypes.ping, ack ? flags.ack : 0, 0, opaque)
}

export function encodeGoaway(lastStreamId: number, code: number = errorCodes.noError, debug = ''): Uint8Array {
  const text = new TextEncoder().encode(debug)
  const payload = new Uint8Array(8 + text.length)
  writeUint32(payload, 0, lastStreamId)
  writeUint32(payload, 4, code)
  payload.set(text, 8)
  return encodeFrame(frameTypes.goaway, 0, 0, payload)
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  writeUint32(bytes, 0, value)
  return bytes
}

function writeUint32(buffer: Uint8Array, offset: number, value: number): void {
  buffer[offset] = value >>> 24
  buffer[offset + 1] = value >>> 16
  buffer[offset + 2] = value >>> 8
  buffer[offset + 3] = value
}
