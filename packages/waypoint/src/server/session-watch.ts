// Ends the HTTP/2 sessions that nobody uses. A client that says nothing more, or begins a head and does not end it, holds a
// place and memory; node has a clock for its bytes only, which a PING winds up. What streams may cost is the pipeline's.
import { constants, type ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Limits } from './limits.ts'

/** How long a client may take to close its side of a connection that has ended. */
const lingerMs = 2_000

interface Entry {
  readonly session: ServerHttp2Session
  readonly stream: Duplex | undefined
  /** Open streams. */
  streams: number
  /** The last that was opened. */
  lastStreamId: number
  /** The client's SETTINGS came: its connection preface is complete (RFC 9113 §3.4). */
  greeted: boolean
  /** `lastStreamId` when it was last looked at. */
  seenStreamId: number
  /** Since when no stream has been open, and none was opened. */
  quietSinceMs: number
  /** Since when the head of a stream has been on its way. */
  headSinceMs: number | undefined
  /** Since when the session has been over, and its connection not. */
  overSinceMs: number | undefined
}

export interface SessionWatchOptions {
  readonly limits: Pick<Limits, 'headersTimeoutMs' | 'idleTimeoutMs'>
  /** A head took too long; the session is ended. */
  readonly onSlow: (session: ServerHttp2Session) => void
  readonly now?: () => number
}

/**
 * One timer looks at all sessions, so that requests cost no clock. A session without a stream for `idleTimeoutMs` gets
 * GOAWAY(NO_ERROR) and is closed, whatever frames it sends, as by nginx's keepalive_timeout. One whose preface or head is not
 * complete after `headersTimeoutMs` is ended with ENHANCE_YOUR_CALM. Both are noticed up to one interval later.
 */
export class SessionWatch {
  readonly #entries = new Set<Entry>()
  readonly #options: SessionWatchOptions
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout

  constructor(options: SessionWatchOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    const { headersTimeoutMs, idleTimeoutMs } = options.limits
    const intervalMs = Math.max(50, Math.min(5_000, headersTimeoutMs / 2, idleTimeoutMs / 2))
    this.#timer = setInterval(() => this.#look(), intervalMs)
    this.#timer.unref()
  }

  /** `stream`: what the session runs on. */
  add(session: ServerHttp2Session, stream: Duplex | undefined): void {
    const entry: Entry = {
      session,
      stream,
      streams: 0,
      lastStreamId: 0,
      greeted: false,
      seenStreamId: 0,
      quietSinceMs: this.#now(),
      headSinceMs: undefined,
      overSinceMs: undefined,
    }
    this.#entries.add(entry)
    const onStreamClosed = () => void entry.streams--
    session.on('stream', (opened) => {
      entry.streams++
      entry.lastStreamId = opened.id ?? 0
      opened.on('close', onStreamClosed)
    })
    session.once('remoteSettings', () => {
      entry.greeted = true
    })
    session.once('close', () => this.#entries.delete(entry))
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = this.#now()
    for (const entry of this.#entries) {
      if (entry.streams > 0 || entry.lastStreamId !== entry.seenStreamId) {
        entry.seenStreamId = entry.lastStreamId
        entry.quietSinceMs = now
        entry.headSinceMs = undefined
      } else this.#judge(entry, now)
    }
  }

  /** No stream is open, and none was opened since the last time. */
  #judge(entry: Entry, now: number): void {
    const { session } = entry
    if (session.closed || session.destroyed) {
      entry.overSinceMs ??= now
      // Its FIN may never come, nor may it read ours; or a head that was begun keeps the session waiting.
      if (now - entry.overSinceMs >= lingerMs) (entry.stream ?? session.socket).destroy()
      return
    }
    const { headersTimeoutMs, idleTimeoutMs } = this.#options.limits
    // A stream that was begun and never shown to us: its head is not complete, or was refused as malformed.
    const begun = (session.state.lastProcStreamID ?? 0) > entry.lastStreamId
    entry.headSinceMs = begun ? (entry.headSinceMs ?? now) : undefined
    const waitsSinceMs = entry.greeted ? entry.headSinceMs : entry.quietSinceMs
    if (waitsSinceMs !== undefined && now - waitsSinceMs >= headersTimeoutMs) {
      entry.overSinceMs = now
      this.#options.onSlow(session)
      // Without an error: undefined would stand for the code 0.
      session.destroy(null as never, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    } else if (now - entry.quietSinceMs >= idleTimeoutMs) {
      entry.overSinceMs = now
      session.close()
    }
  }
}
