// Reads along with what an HTTP/2 client sends, for the one fault that node's server tells nobody of: a field with characters that
// none may have (RFC 9113 §8.2.1), which it leaves out of a request that it serves. What it finds it finds before node does.
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import { FieldCheck, type FieldFault, type FrameHandler, FrameParser, HeaderBlockAssembler } from '@wishbone/core/h2'

/** Compressed bytes of one head; above what nghttp2 takes. */
const maxBlockBytes = 1 << 18

export interface FieldWatchOptions {
  /** A stream's trailing fields are at fault. Answers whether its request has been shown; if not, it is as if its head were. */
  readonly onTrailers: (streamId: number, fault: FieldFault) => boolean
  /** Nothing can be read any more: what the client sends breaks the protocol, or its heads are at fault again and again. */
  readonly onBroken: (reason: string) => void
}

/** So many heads at fault end a connection, as many as of what node finds by itself. */
const maxFaults = 100

export class FieldWatch {
  readonly #options: FieldWatchOptions
  readonly #parser: FrameParser
  readonly #check = new FieldCheck()
  /** Streams at fault that have not been asked for. */
  readonly #faults = new Map<number, FieldFault>()
  #lastStreamId = 0
  #found = 0
  #broken = false

  constructor(options: FieldWatchOptions) {
    this.#options = options
    const heads = new HeaderBlockAssembler(maxBlockBytes)
    const handler: FrameHandler = {
      data: () => {},
      dataEnd: () => heads.interrupted(),
      frame: (type, flags, streamId, payload) => {
        const head = heads.frame(type, flags, streamId, payload)
        if (head !== undefined) this.#judge(streamId, this.#check.check(head.block))
      },
    }
    this.#parser = new FrameParser(handler, { expectPreface: true })
  }

  /** To be called with all bytes of the connection, in order, before the server gets them. Never throws. */
  readonly push = (chunk: Uint8Array): void => {
    if (this.#broken) return
    try {
      this.#parser.push(chunk)
    } catch (cause) {
      this.#break(MeshError.from(cause).message)
    }
  }

  /** What is wrong with a stream that the server shows; 'unknown' once nothing can be read. Told once. */
  faultOf(streamId: number): FieldFault | 'unknown' | undefined {
    if (this.#found === 0) return undefined
    const fault = this.#faults.get(streamId)
    this.#faults.delete(streamId)
    return fault ?? (this.#broken ? 'unknown' : undefined)
  }

  #judge(streamId: number, fault: FieldFault | undefined): void {
    const isHead = streamId > this.#lastStreamId
    if (isHead) this.#lastStreamId = streamId
    if (fault === undefined) return
    // Head and trailers may come at once, before node has made a stream of them.
    if (isHead || !this.#options.onTrailers(streamId, fault)) this.#faults.set(streamId, fault)
    if (++this.#found >= maxFaults) this.#break(`${maxFaults} requests with malformed fields`)
  }

  #break(reason: string): void {
    this.#broken = true
    this.#found++
    this.#options.onBroken(reason)
  }
}

/**
 * A stream as node's HTTP/2 server reads it, each chunk of which `look` sees first. Given a socket itself, node reads past JavaScript;
 * this has only what node's adapter of other streams uses, since a Duplex in between would copy every byte through two more queues.
 */
export function watched(stream: Duplex, look: (chunk: Uint8Array) => void): Duplex {
  return new WatchedStream(stream, look) as unknown as Duplex
}

class WatchedStream extends EventEmitter {
  readonly #stream: Duplex

  constructor(stream: Duplex, look: (chunk: Uint8Array) => void) {
    super()
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => {
      look(chunk)
      this.emit('data', chunk)
    })
    stream.on('end', () => this.emit('end'))
    stream.on('close', () => this.emit('close'))
    stream.on('error', (error) => this.emit('error', error))
  }

  get readable(): boolean {
    return this.#stream.readable
  }

  get writable(): boolean {
    return this.#stream.writable
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  cork(): void {
    this.#stream.cork()
  }

  uncork(): void {
    this.#stream.uncork()
  }

  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean {
    return this.#stream.write(chunk, done)
  }

  end(done: () => void): void {
    this.#stream.end(done)
  }

  destroy(): void {
    this.#stream.destroy()
  }
}
