// The numbers of a session (ambient wire §1.5), and how they are announced.
import { encodeSettings, encodeWindowUpdate, preface, settingIds } from '@wishbone/core/h2'
import { http2Parameters } from '@wishbone/core/hbone'
import type { SessionSettings } from './types.ts'

const common = {
  streamWindow: http2Parameters.streamWindow,
  connectionWindow: http2Parameters.connectionWindow,
  maxFrameSize: http2Parameters.maxFrameSize,
  pingIntervalMs: http2Parameters.pingIntervalMs,
  pingTimeoutMs: http2Parameters.pingTimeoutMs,
}

export const serverDefaults: SessionSettings = {
  ...common,
  maxStreams: http2Parameters.serverMaxStreams,
  maxHeaderList: http2Parameters.serverMaxHeaderList,
}

export const clientDefaults: SessionSettings = {
  ...common,
  maxStreams: http2Parameters.clientMaxStreams,
  maxHeaderList: http2Parameters.clientMaxHeaderList,
}

/** The window that every connection starts with, whatever is announced (RFC 9113 §6.9.2). */
export const initialWindow = 65_535

/** Largest DATA frame that we send, if the peer takes it: larger ones measured slower, and let one stream block the others. */
export const largestSentFrame = 256 << 10

/** What each side sends first: a client its preface, both their SETTINGS and the rest of the connection's window. */
export function helloOf(settings: SessionSettings, role: 'server' | 'client'): Buffer {
  const announced: (readonly [number, number])[] = [
    role === 'server' ? [settingIds.maxConcurrentStreams, settings.maxStreams] : [settingIds.enablePush, 0],
    [settingIds.initialWindowSize, settings.streamWindow],
    [settingIds.maxFrameSize, settings.maxFrameSize],
    [settingIds.maxHeaderListSize, settings.maxHeaderList],
  ]
  const window = encodeWindowUpdate(0, settings.connectionWindow - initialWindow)
  return Buffer.concat([...(role === 'client' ? [preface] : []), encodeSettings(announced), window])
}
