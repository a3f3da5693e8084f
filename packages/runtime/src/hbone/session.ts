// One HTTP/2 connection: frames in, frames out, its streams, its windows. What a HEADERS frame means is left to the two roles
// (server.ts, client.ts).
//
// Lifecycle: open → draining (GOAWAY sent or received: no new streams, open ones finish) → ending (nothing left: what is written is
// flushed, then FIN) → closed. Any protocol error, flood or missing PING answer ends it at once with a GOAWAY that says why; nothing
// that a peer sends reaches the process as an exception.
import type { TLSSocket } from 'node:tls'
import { MeshError, type MeshErrorAt } from '@wishbone/core/errors'
import {
  dynamicTableOff,
  encodeHeaders,
  encodePing,
  encodeRstStream,
  encodeSettings,
  encodeWindowUpdate,
  errorCodes,
  type FrameHandler,
  FrameParser,
  flags,
  frameTypes,
  type Goaway,
  H2Error,
  HeaderBlockAssembler,
  type HeaderField,
  HpackDecoder,
  parseGoaway,
  parseSettings,
  parseUint32,
  settingIds,
} from '@wishbone/core/h2'
import type { SpiffeId } from '@wishbone/core/identity'
import { peerIdentity } from '../tls/peer.ts'
import { readTls } from '../tls/read.ts'
import { ReceiveWindow } from './flow.ts'
import { headerFrames } from './headers.ts'
import { Keepalive, RoundTrip } from './keepalive.ts'
import { FloodLimits } from './limits.ts'
import { ReadMemory } from './memory.ts'
import { errorOfReset, goawayText, nameOfCode } from './reset.ts'
import type { SessionRole } from './role.ts'
import { helloOf, initialWindow, largestSentFrame } from './settings.ts'
import { H2Stream, type StreamHost } from './stream.ts'
import { Turns } from './turns.ts'
import type { SessionLog, SessionSettings } from './types.ts'
import { FrameWriter } from './writer.ts'

export class Session implements StreamHost, FrameHandler {
  readonly socket: TLSSocket
  readonly settings: SessionSettings
  readonly peer: SpiffeId | undefined
  readonly remoteAddress: string
  readonly remotePort: number
  readonly streams = new Map<number, H2Stream>()
  sendWindow = initialWindow
  sendFrameSize = 16_384
  peerMaxStreams = Number.POSITIVE_INFINITY
  /** The highest stream that the other end has opened. */
  lastPeerStream = 0
  /** The highest stream that we have opened. */
  lastOwnStream = 0
  readonly #role: SessionRole
  readonly #log: SessionLog | undefined
  readonly #writer: FrameWriter
  readonly #parser: FrameParser
  readonly #hpack: HpackDecoder
  readonly #assembler = new HeaderBlockAssembler()
  readonly #limits = new FloodLimits()
  readonly #keepalive: Keepalive
  #state: 'open' | 'draining' | 'ending' | 'closed' = 'open'
  #gotSettings = false
  #firstBlock = true
  #peerInitialWindow = initialWindow
  readonly #window: ReceiveWindow
  /** Content of the DATA frame that is being read, to tell its padding. */
  #frameContent = 0
  readonly #memory = new ReadMemory()
  readonly #turns = new Turns(() => this.#writer.busy || this.sendWindow <= 0)
  readonly #roundTrip = new RoundTrip()

  constructor(socket: TLSSocket, role: SessionRole, settings: SessionSettings, log: SessionLog | undefined) {
    this.socket = socket
    this.settings = settings
    this.peer = peerIdentity(socket)
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.#role = role
    this.#log = log
    this.#writer = new FrameWriter(socket, () => this.#turns.next())
    this.#parser = new FrameParser(this, { maxFrameSize: settings.maxFrameSize, expectPreface: role.kind === 'server' })
    this.#hpack = new HpackDecoder({ maxHeaderListSize: settings.maxHeaderList })
    this.#window = new ReceiveWindow(settings.connectionWindow)
    this.#keepalive = new Keepalive(settings, {
      ping: (opaque) => this.write(encodePing(opaque), false),
      dead: () => this.fail(errorCodes.noError, `no answer to PING within ${settings.pingTimeoutMs} ms`),
    })
    this.#start()
  }

  get state(): 'open' | 'draining' | 'ending' | 'closed' {
    return this.#state
  }

  get writing(): boolean {
    return this.#writer.busy
  }

  write(frame: Uint8Array, borrowed: boolean): void {
    this.#writer.write(frame, borrowed)
  }

  blocked(stream: H2Stream): void {
    this.#turns.wait(stream)
  }

  consumed(bytes: number): void {
    const increment = this.#window.consume(bytes)
    if (increment > 0) this.write(encodeWindowUpdate(0, increment), false)
  }

  sendReset(streamId: number, code: number): void {
    this.write(encodeRstStream(streamId, code), false)
  }

  remove(stream: H2Stream): void {
    this.#turns.forget(stream)
    if (!this.streams.delete(stream.streamId)) return
    this.#endIfDone()
    this.#role.streamRemoved?.()
  }

  addStream(streamId: number, authority: string): H2Stream {
    const stream = new H2Stream(this, streamId, authority, this.#peerInitialWindow)
    this.streams.set(streamId, stream)
    return stream
  }

  /** Throws TypeError on characters that no header may have. */
  sendHeaders(streamId: number, fields: Iterable<HeaderField>, endStream: boolean): void {
    const encoded = encodeHeaders(fields)
    const block = this.#firstBlock ? Buffer.concat([dynamicTableOff, encoded]) : encoded
    this.#firstBlock = false
    this.write(headerFrames(streamId, block, endStream, this.sendFrameSize), false)
  }

  /** Whether a stream that the peer opens now is served. While draining: only until the peer must have seen our GOAWAY. */
  get acceptsStreams(): boolean {
    return this.#state === 'open' || (this.#state === 'draining' && this.#roundTrip.pending)
  }

  /** Stops new streams, lets the open ones finish, then closes. A server first says GOAWAY without a limit (RFC 9113 §6.8). */
  drain(): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    if (this.#role.kind === 'server') {
      this.#writer.goaway(0x7fff_ffff, errorCodes.noError, 'draining')
      const ping = (opaque: Uint8Array) => this.write(encodePing(opaque), false)
      this.#roundTrip.begin(ping, () => {
        this.#writer.goaway(this.lastPeerStream, errorCodes.noError, 'draining')
        this.#endIfDone()
      })
    }
    this.#endIfDone()
  }

  /** Ends the session now: GOAWAY with the code and text, every stream fails. */
  fail(code: number, text: string, reason?: MeshError): void {
    if (this.#state === 'closed') return
    const level = code === errorCodes.noError ? 'debug' : 'warn'
    this.#log?.[level]('HBONE session ends', { peer: this.remoteAddress, code: nameOfCode(code), reason: text })
    this.#writer.goaway(this.lastPeerStream, code, text.slice(0, 200))
    this.#writer.abort()
    this.#close(reason ?? new MeshError('protocol-error', text, { at: this.#otherEnd }))
  }

  // What the parser finds.

  data(streamId: number, piece: Uint8Array): void {
    this.#assembler.interrupted()
    this.#spend(piece.length)
    this.#frameContent += piece.length
    const stream = this.#streamOf(streamId)
    if (stream === undefined) this.consumed(piece.length)
    else this.#onStream(streamId, () => stream.receive(this.#memory.keep(piece as Buffer), this.#memory.slab))
  }

  dataEnd(streamId: number, length: number, endStream: boolean): void {
    this.#assembler.interrupted()
    const padding = length - this.#frameContent
    this.#frameContent = 0
    if (length === 0 && !endStream) this.#limits.count('emptyData')
    const stream = this.#streamOf(streamId)
    if (padding > 0) this.#spend(padding)
    if (stream === undefined) this.consumed(padding)
    else if (padding > 0) this.#onStream(streamId, () => stream.receivePadding(padding))
    if (endStream && stream !== undefined) this.#onStream(streamId, () => stream.receiveEnd())
  }

  frame(type: number, frameFlags: number, streamId: number, payload: Uint8Array): void {
    if (this.#writer.overflows) throw new H2Error(errorCodes.enhanceYourCalm, 'the peer does not read its answers')
    if (!this.#gotSettings && type !== frameTypes.settings)
      throw new H2Error(errorCodes.protocolError, 'the first frame is not SETTINGS')
    const block = this.#assembler.frame(type, frameFlags, streamId, payload)
    if (block !== undefined) this.#headerBlock(block.streamId, block.block, block.endStream)
    const acknowledged = (frameFlags & flags.ack) !== 0
    switch (type) {
      case frameTypes.headers:
      case frameTypes.continuation:
        return
      case frameTypes.settings:
        if (!acknowledged) this.#peerSettings(payload)
        return
      case frameTypes.windowUpdate:
        this.#windowUpdate(streamId, parseUint32(payload) & 0x7fff_ffff)
        return
      case frameTypes.ping:
        this.#ping(payload, acknowledged)
        return
      case frameTypes.rstStream:
        this.#reset(streamId, parseUint32(payload))
        return
      case frameTypes.goaway:
        this.#goaway(parseGoaway(payload))
        return
      case frameTypes.pushPromise:
        throw new H2Error(errorCodes.protocolError, 'a PUSH_PROMISE, which was never allowed')
      default:
        this.#limits.count('ignored')
    }
  }

  /** For roles: a reset before the answer, or a refusal, counts against the flood limits. */
  countReset(): void {
    this.#limits.count('reset')
  }

  get #otherEnd(): MeshErrorAt {
    return this.#role.kind === 'server' ? 'downstream' : 'upstream'
  }

  #start(): void {
    const { socket } = this
    this.write(helloOf(this.settings, this.#role.kind), false)
    // Not before whoever makes the session has it in hand.
    queueMicrotask(() => {
      if (socket.destroyed) this.#lost('the connection was closed before it was used')
      else
        readTls(
          socket,
          this.#memory.reader((chunk) => this.#receive(chunk)),
        )
    })
    socket.on('end', () => this.#lost('the peer closed the connection'))
    socket.on('error', (cause) => this.#lost('the connection failed', cause))
    socket.on('close', () => this.#lost('the connection was closed'))
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'closed') return
    this.#keepalive.heard()
    try {
      this.#parser.push(chunk)
    } catch (cause) {
      if (cause instanceof H2Error) this.fail(cause.code, cause.message)
      else {
        const fault = cause instanceof Error ? cause.stack : cause
        this.#log?.warn('a fault in the HBONE session', { peer: this.remoteAddress, fault })
        this.fail(errorCodes.internalError, 'internal error', MeshError.from(cause, 'internal'))
      }
    }
  }

  /** Errors of one stream reset it; the connection goes on. */
  #onStream(streamId: number, action: () => void): void {
    try {
      action()
    } catch (cause) {
      if (!(cause instanceof H2Error && cause.scope === 'stream')) throw cause
      this.#log?.warn('HBONE stream is reset', { peer: this.remoteAddress, stream: streamId, reason: cause.message })
      this.#limits.count('reset')
      const reason = new MeshError('protocol-error', cause.message, { at: this.#otherEnd })
      const stream = this.streams.get(streamId)
      if (stream === undefined) this.sendReset(streamId, cause.code)
      else stream.resetWith(cause.code, reason)
    }
  }

  /** The open stream of a frame; undefined if it has been closed. Throws if it was never opened. */
  #streamOf(streamId: number): H2Stream | undefined {
    const stream = this.streams.get(streamId)
    if (stream !== undefined) return stream
    const ours = (streamId & 1) === (this.#role.kind === 'client' ? 1 : 0)
    if (streamId > (ours ? this.lastOwnStream : this.lastPeerStream)) {
      throw new H2Error(errorCodes.protocolError, `a frame on stream ${streamId}, which is idle`)
    }
    return undefined
  }

  #spend(length: number): void {
    if (!this.#window.spend(length))
      throw new H2Error(errorCodes.flowControlError, "DATA beyond the connection's window")
  }

  #headerBlock(streamId: number, block: Uint8Array, endStream: boolean): void {
    this.#onStream(streamId, () => {
      let fields: readonly HeaderField[]
      try {
        fields = this.#hpack.decode(block)
      } catch (cause) {
        if (!(cause instanceof H2Error && cause.scope === 'stream')) throw cause
        this.#limits.count('reset')
        this.#role.headersTooLarge(streamId)
        return
      }
      this.#role.headers(streamId, fields, endStream)
    })
  }

  #peerSettings(payload: Uint8Array): void {
    if (this.#gotSettings) this.#limits.count('settings')
    else this.peerMaxStreams = Number.POSITIVE_INFINITY
    this.#gotSettings = true
    for (const [id, value] of parseSettings(payload)) {
      if (id === settingIds.maxConcurrentStreams) this.peerMaxStreams = value
      else if (id === settingIds.maxFrameSize) this.sendFrameSize = Math.min(value, largestSentFrame)
      else if (id === settingIds.initialWindowSize) {
        const change = value - this.#peerInitialWindow
        this.#peerInitialWindow = value
        for (const stream of [...this.streams.values()]) stream.shiftWindow(change)
      }
    }
    this.write(encodeSettings([], true), false)
    for (const stream of [...this.streams.values()]) stream.resume()
  }

  #windowUpdate(streamId: number, increment: number): void {
    if (streamId !== 0) {
      const stream = this.#streamOf(streamId)
      if (stream !== undefined) this.#onStream(streamId, () => stream.receiveWindow(increment))
      return
    }
    if (increment === 0) throw new H2Error(errorCodes.protocolError, 'a WINDOW_UPDATE of 0')
    this.sendWindow += increment
    if (this.sendWindow > 0x7fff_ffff)
      throw new H2Error(errorCodes.flowControlError, "the connection's window grows beyond 2^31-1")
    this.#turns.next()
  }

  #ping(payload: Uint8Array, acknowledged: boolean): void {
    if (!acknowledged) {
      this.#limits.count('ping')
      this.write(encodePing(payload, true), false)
    } else this.#roundTrip.answered(payload)
  }

  #reset(streamId: number, code: number): void {
    const stream = this.#streamOf(streamId)
    if (stream === undefined) return
    this.#role.streamReset?.(stream)
    stream.receiveReset(errorOfReset(code, this.#otherEnd))
  }

  #goaway(goaway: Goaway): void {
    const text = goawayText(goaway)
    if (goaway.code !== errorCodes.noError) this.#log?.warn(text, { peer: this.remoteAddress })
    if (this.#state === 'open') this.#state = 'draining'
    this.#role.draining?.()
    if (this.#role.kind === 'client') {
      const error = new MeshError('draining', text, { at: 'upstream', retry: 'yes' })
      for (const stream of [...this.streams.values()]) if (stream.streamId > goaway.lastStreamId) stream.fail(error)
    }
    this.#endIfDone()
  }

  #endIfDone(): void {
    // While the round trip is under way, a stream may still be on its way to us.
    if (this.#state !== 'draining' || this.streams.size > 0 || this.#roundTrip.pending) return
    this.#state = 'ending'
    this.#writer.goaway(this.lastPeerStream, errorCodes.noError)
    this.#writer.end()
  }

  #lost(text: string, cause?: unknown): void {
    if (this.#state === 'closed') return
    const orderly = this.#state === 'ending' || (this.streams.size === 0 && cause === undefined)
    const kind = this.#otherEnd === 'upstream' ? 'backend-reset' : 'client-closed'
    this.#close(orderly ? undefined : new MeshError(kind, text, { at: this.#otherEnd, retry: 'if-reused', cause }))
    this.#writer.abort()
  }

  #close(error: MeshError | undefined): void {
    this.#state = 'closed'
    this.#keepalive.stop()
    this.#memory.close()
    this.#roundTrip.cancel()
    const gone = error ?? new MeshError('draining', 'the session has ended', { at: this.#otherEnd, retry: 'if-reused' })
    for (const stream of [...this.streams.values()]) stream.fail(gone)
    this.#role.draining?.()
    this.#role.sessionClosed(error)
  }
}
