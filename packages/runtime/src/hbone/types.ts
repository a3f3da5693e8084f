// The narrow interface of HBONE: what servers, clients and byte copies see of a session and its streams.
import type tls from 'node:tls'
import type { MeshError } from '@wishbone/core/errors'
import type { SpiffeId } from '@wishbone/core/identity'

/** Header fields by lower-case name; repeated fields are joined with a comma (RFC 9110 §5.3). No pseudo-headers. */
export type Headers = Readonly<Record<string, string>>

/** The few methods of a logger that sessions use; `@wishbone/runtime/log` fits. */
export interface SessionLog {
  debug(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
}

/** Numbers of one session. Bytes, streams, milliseconds; the defaults are those of ambient wire §1.5. */
export interface SessionSettings {
  readonly streamWindow: number
  readonly connectionWindow: number
  /** Largest frame that we accept. */
  readonly maxFrameSize: number
  /** Server: streams that a client may have open at once. Client: streams that we open at once, further limited by the peer. */
  readonly maxStreams: number
  readonly maxHeaderList: number
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
}

/** Receives what arrives in a tunnel. Called from the session's read loop: must not throw. */
export interface TunnelSink {
  /**
   * Call `tunnel.consumed(bytes)`, in the order of the chunks, when the bytes have been taken on; until then the peer's window shrinks.
   * The memory of a borrowed chunk is used again after that: copy what must live longer.
   */
  data(chunk: Buffer, borrowed: boolean): void
  /** The peer has ended its direction (END_STREAM, or RST_STREAM with NO_ERROR or CANCEL, which also closes the other one). */
  end(): void
  /** The connection is busy with others: read no more from the source until `drain`. */
  pause?(): void
  /** After `write` returned false, or `pause`: there is room again. */
  drain(): void
  /** The stream is gone. `error` is absent when both directions have ended in order. Called once, last. */
  closed(error: MeshError | undefined): void
}

/** One CONNECT stream that has been answered with 200: a bidirectional byte stream with half-close. */
export interface Tunnel {
  readonly streamId: number
  readonly authority: string
  /** The other end's identity, from its certificate. */
  readonly peer: SpiffeId | undefined
  /** The other end's address, of the TCP connection that carries the session. */
  readonly remoteAddress: string
  readonly remotePort: number
  /** Server: the headers of the request. Client: those of the 200. */
  readonly headers: Headers
  /** Payload bytes that were written to and read from the tunnel so far. */
  readonly sent: number
  readonly received: number
  /** Attaches the one consumer; what has arrived before is delivered at once. */
  attach(sink: TunnelSink): void
  /** Sends bytes, or keeps a copy when the peer's window or the connection is full: then false. `bytes` may be reused after the call. */
  write(bytes: Uint8Array): boolean
  /** Ends our direction, after everything that was written. */
  end(): void
  /** Gives the peer back window for bytes that `data` delivered. */
  consumed(bytes: number): void
  /** Resets the stream; the sink's `closed` gets `reason`. */
  reset(reason: MeshError): void
}

/** A CONNECT request that waits for its answer. Exactly one of `accept` and `reject` is to be called. */
export interface ConnectRequest {
  readonly streamId: number
  readonly authority: string
  readonly headers: Headers
  readonly peer: SpiffeId | undefined
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /** Aborted when the client resets the stream or the session ends before the answer. */
  readonly signal: AbortSignal
  /** Answers 200. Throws a MeshError `client-closed` if the stream is gone. */
  accept(headers?: Headers): Tunnel
  /** Answers with an error status and an empty body (ambient wire §1.3); after `accept` resets the tunnel. A no-op if the stream is gone. */
  reject(status: number, headers?: Headers): void
}

export interface AcceptHboneOptions {
  readonly settings?: Partial<SessionSettings>
  onConnect(request: ConnectRequest): void
  /** Called once. `error` is absent after an orderly end. */
  onClose?(error: MeshError | undefined): void
  readonly log?: SessionLog
}

export interface HboneServerSession {
  readonly peer: SpiffeId | undefined
  readonly streams: number
  /** Sends GOAWAY, refuses new streams, lets the open ones finish, then closes. Settles when the session is closed. */
  drain(): Promise<void>
  /** Sends GOAWAY and resets everything now. */
  close(reason: MeshError): void
  readonly closed: Promise<void>
}

/** What makes two connections shareable (ambient wire §1.6). The pool itself belongs to one proxied pod. */
export interface PoolKey {
  readonly sourceIdentity: string
  /** Identities of which the server must present one. */
  readonly expectedIdentities: readonly string[]
  readonly sourceIp: string
  /** ip:port of the TCP connection. */
  readonly destination: string
}

/** Opens the TLS connection of a session (`connectIn`, then `connectTls`). */
export type Dial = (signal: AbortSignal) => Promise<tls.TLSSocket>

export interface PoolOptions {
  readonly settings?: Partial<SessionSettings>
  readonly idleReleaseMs?: number
  /** How long a request waits for its answer; default 30 s. */
  readonly answerTimeoutMs?: number
  readonly log?: SessionLog
}

export interface PooledSessionState {
  readonly key: string
  readonly streams: number
  readonly state: 'open' | 'draining'
}
