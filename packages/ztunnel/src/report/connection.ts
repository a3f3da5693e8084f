// One connection from its first decision to its one access-log line. States: open (maybe with a copy) → ended.
import { errorTable, type MeshError } from '@wishbone/core/errors'
import type { Copy } from '@wishbone/runtime/copy'
import type { Logger } from '@wishbone/runtime/log'
import { accessFields } from './access-log.ts'
import type { ConnectionEnds } from './ends.ts'
import type { SeriesOfConnection } from './tcp-metrics.ts'

export interface ConnectionHooks {
  readonly log: Logger
  readonly series: SeriesOfConnection
  readonly now: () => number
  onEnd(connection: Connection): void
}

export class Connection {
  readonly ends: ConnectionEnds
  readonly #hooks: ConnectionHooks
  readonly #startedMs: number
  #copy: { readonly copy: Copy; readonly request: 'sent' | 'received' } | undefined
  #counted = { request: 0, response: 0 }
  #abort: ((reason: MeshError) => void) | undefined
  #late: MeshError | undefined
  #ended = false
  readonly #end = Promise.withResolvers<void>()

  constructor(ends: ConnectionEnds, hooks: ConnectionHooks) {
    this.ends = ends
    this.#hooks = hooks
    this.#startedMs = hooks.now()
    hooks.series.opened()
    if (hooks.log.enabled('debug')) hooks.log.debug('connection opened', accessFields(ends))
  }

  /** Settles when the connection has ended. */
  get ended(): Promise<void> {
    return this.#end.promise
  }

  /** What ends the connection while it is still being set up. */
  onAbort(abort: (reason: MeshError) => void): void {
    this.#abort = abort
    if (this.#late !== undefined) abort(this.#late)
  }

  /** Follows a copy to its end; `request` says which of its counters is the client's direction. */
  async follow(copy: Copy, request: 'sent' | 'received'): Promise<void> {
    this.#copy = { copy, request }
    if (this.#late !== undefined) copy.close(this.#late)
    const result = await copy.done
    this.end(this.#late ?? result.error)
  }

  /** Ends it from our side: the reason is what the log says. */
  close(reason: MeshError): void {
    if (this.#ended) return
    this.#late ??= reason
    this.#copy?.copy.close(reason)
    this.#abort?.(reason)
  }

  /** Brings the byte counters up to date. */
  flush(): void {
    const { request, response } = this.#counts()
    if (request > this.#counted.request) this.#hooks.series.received.inc(request - this.#counted.request)
    if (response > this.#counted.response) this.#hooks.series.sent.inc(response - this.#counted.response)
    this.#counted = { request, response }
  }

  /** Writes the line and counts the end. Only the first call counts. */
  end(error?: MeshError): void {
    if (this.#ended) return
    this.#ended = true
    this.flush()
    const { log, series, now } = this.#hooks
    const flag = error === undefined ? '-' : errorTable[error.code].responseFlag
    series.closed(flag)
    if (error !== undefined) series.failed(flag)
    const fields = accessFields(this.ends, { ...this.#counted, durationMs: now() - this.#startedMs }, error)
    if (error === undefined) log.info('connection complete', fields)
    else log.error('connection complete', fields)
    this.#hooks.onEnd(this)
    this.#end.resolve()
  }

  #counts(): { request: number; response: number } {
    const followed = this.#copy
    if (followed === undefined) return { request: 0, response: 0 }
    const { sent, received } = followed.copy
    return followed.request === 'sent' ? { request: sent, response: received } : { request: received, response: sent }
  }
}
