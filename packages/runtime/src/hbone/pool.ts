// Shares client sessions among the connections of one proxied pod (ambient wire §1.6).
//
// Lifecycle of a session here: dialled for the first request of its key (those that come meanwhile wait for it) → shared while it has
// room; a full one is passed over and found again when streams end → released when it has had no stream for five minutes, or dropped
// when it broke or is draining.
import { MeshError } from '@wishbone/core/errors'
import { http2Parameters } from '@wishbone/core/hbone'
import { connectHbone, type HboneClientSession } from './client.ts'
import type { Dial, Headers, PooledSessionState, PoolKey, PoolOptions, Tunnel } from './types.ts'

interface Pooled {
  readonly session: HboneClientSession
  idleTimer: NodeJS.Timeout | undefined
}

interface Group {
  readonly name: string
  readonly sessions: Pooled[]
  /** A dial under way, for all who wait. */
  dialling: Promise<Pooled> | undefined
  /** What the last session learnt of the peer's limit: those who wait for the next one would else be refused before it says so again. */
  peerMaxStreams: number
}

export class HbonePool {
  readonly #options: PoolOptions
  readonly #groups = new Map<string, Group>()
  readonly #stop = new AbortController()

  constructor(options: PoolOptions = {}) {
    this.#options = options
  }

  /**
   * Opens a tunnel on a shared session, dialling one if there is none with room; requests that arrive meanwhile wait for that dial.
   * A request that was refused, or whose shared session broke before the answer, is tried once more.
   * Rejects with whatever `dial` throws, HboneStatusError, MeshError `connect-timeout` when the peer does not answer, `draining` after
   * `drain`, or the signal's reason.
   */
  async connect(key: PoolKey, authority: string, headers: Headers, dial: Dial, signal?: AbortSignal): Promise<Tunnel> {
    const name = nameOf(key)
    for (let attempt = 1; ; attempt++) {
      const group = this.#groupOf(name)
      const found = this.#find(group)
      const pooled = found ?? (await this.#dial(group, dial, signal))
      if (pooled.session.room === 0) {
        // Others who waited for the same dial were faster; if nobody was, the peer takes nothing.
        if (pooled.session.used) attempt--
        else if (attempt === 2) throw useless(key)
        continue
      }
      try {
        return await pooled.session.open(authority, headers, signal)
      } catch (cause) {
        const error = MeshError.from(cause, 'connect-failed', { at: 'upstream' })
        const again = error.retry === 'yes' || (error.retry === 'if-reused' && found !== undefined)
        if (!again || attempt === 2 || signal?.aborted) throw error
      }
    }
  }

  /** No new tunnels; open ones finish. Settles when every session is closed. */
  async drain(): Promise<void> {
    this.#stop.abort(stopped())
    await Promise.all(this.#all().map(({ session }) => session.drain()))
  }

  /** Closes every session now. */
  close(reason: MeshError): void {
    this.#stop.abort(stopped())
    for (const { session } of this.#all()) session.close(reason)
  }

  dump(): readonly PooledSessionState[] {
    return [...this.#groups.values()].flatMap(({ name, sessions }) =>
      sessions.map(({ session }) => ({
        key: name,
        streams: session.streams,
        state: session.room === 0 && session.streams === 0 ? ('draining' as const) : ('open' as const),
      })),
    )
  }

  #all(): Pooled[] {
    return [...this.#groups.values()].flatMap((group) => group.sessions)
  }

  #groupOf(name: string): Group {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = { name, sessions: [], dialling: undefined, peerMaxStreams: Number.POSITIVE_INFINITY }
      this.#groups.set(name, group)
    }
    return group
  }

  #find(group: Group): Pooled | undefined {
    return this.#stop.signal.aborted ? undefined : group.sessions.find(({ session }) => session.room > 0)
  }

  async #dial(group: Group, dial: Dial, signal: AbortSignal | undefined): Promise<Pooled> {
    this.#stop.signal.throwIfAborted()
    group.dialling ??= this.#open(group, dial).finally(() => {
      group.dialling = undefined
      this.#forgetIfEmpty(group)
    })
    return abortable(group.dialling, signal)
  }

  /** The dial serves all who wait, so it ends with the pool, not with the one who began it. */
  async #open(group: Group, dial: Dial): Promise<Pooled> {
    const socket = await dial(this.#stop.signal)
    if (this.#stop.signal.aborted) {
      socket.destroy()
      throw stopped()
    }
    const session = connectHbone(socket, {
      ...(this.#options.settings && { settings: this.#options.settings }),
      ...(this.#options.log && { log: this.#options.log }),
      ...(this.#options.answerTimeoutMs && { answerTimeoutMs: this.#options.answerTimeoutMs }),
      peerMaxStreams: group.peerMaxStreams,
      onChange: () => this.#changed(group, pooled),
    })
    const pooled: Pooled = { session, idleTimer: undefined }
    group.sessions.push(pooled)
    this.#changed(group, pooled)
    void session.closed.then(() => {
      clearTimeout(pooled.idleTimer)
      group.sessions.splice(group.sessions.indexOf(pooled), 1)
      this.#forgetIfEmpty(group)
    })
    return pooled
  }

  #changed(group: Group, pooled: Pooled): void {
    const { session } = pooled
    clearTimeout(pooled.idleTimer)
    pooled.idleTimer = undefined
    // Never none: then nobody would ask again.
    group.peerMaxStreams = Math.max(1, session.peerMaxStreams)
    if (session.streams > 0) return
    // It carries nothing and never will.
    if (session.room === 0) return void session.drain()
    pooled.idleTimer = setTimeout(() => {
      if (session.streams === 0) void session.drain()
    }, this.#options.idleReleaseMs ?? http2Parameters.idleReleaseMs)
    pooled.idleTimer.unref()
  }

  #forgetIfEmpty(group: Group): void {
    if (group.sessions.length === 0 && group.dialling === undefined) this.#groups.delete(group.name)
  }
}

/** Never shared between source identities, source pods, or different expectations of who the server is. */
function nameOf(key: PoolKey): string {
  return JSON.stringify([key.sourceIdentity, [...key.expectedIdentities].sort(), key.sourceIp, key.destination])
}

function useless({ destination }: PoolKey): MeshError {
  return new MeshError('connect-failed', `${destination} ends new sessions before they have carried anything`, {
    at: 'upstream',
    hint: 'it may be stopping',
  })
}

function stopped(): MeshError {
  return new MeshError('draining', 'the proxy is stopping', { retry: 'no' })
}

/** The promise, unless the signal comes first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
