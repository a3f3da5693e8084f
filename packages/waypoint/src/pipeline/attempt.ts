// One try at one endpoint: passes the response on, or says why there is none to pass on.
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import type { AttemptFailure } from '@wishbone/core/retry'
import type { Exchange, ExchangeFailure, ExchangeHandler, UpstreamRequest } from '../forward/exchange.ts'
import type { Forwarder } from '../forward/forwarder.ts'
import { brokenStatus, InterimResponses, withoutIdleLength } from '../forward/response-rules.ts'
import type { Target } from '../forward/target.ts'
import type { Responder } from './responder.ts'
import { forwardableTrailers } from './trailers.ts'

export type AttemptOutcome =
  | { readonly kind: 'complete' }
  /** Nothing was passed on: another try is possible. `error` is absent for a status that is to be retried. */
  | { readonly kind: 'failed'; readonly failure: AttemptFailure; readonly error: MeshError | undefined }
  /** The response has begun, or the request itself is at fault: no other try. */
  | { readonly kind: 'broken'; readonly error: MeshError }

export interface AttemptHooks {
  /** Whether this status is to be tried again instead of being passed on. */
  retriesStatus(status: number): boolean
  /** Changes the head of the response before it is sent. */
  onHead(status: number, headers: HeaderList): void
  onBytes(count: number): void
  onTrailers(trailers: HeaderList): void
}

/** For a backend that takes longer than the route's backendRequest. */
export function backendTimeout(limitMs: number): MeshError {
  return new MeshError('backend-timeout', `the backend took longer than ${limitMs} ms`, { at: 'upstream' })
}

/** What a failed endpoint is charged at least, so that it is not the fastest of all. */
const failurePenaltyMs = 1_000

export class Attempt implements ExchangeHandler {
  readonly outcome: Promise<AttemptOutcome>
  readonly #resolve: (outcome: AttemptOutcome) => void
  readonly #target: Target
  readonly #responder: Responder
  readonly #hooks: AttemptHooks
  readonly #now: () => number
  readonly #startedMs: number
  #exchange: Exchange | undefined
  #interim: InterimResponses | undefined
  #headMs = -1
  #done = false

  constructor(target: Target, responder: Responder, hooks: AttemptHooks, now: () => number) {
    this.#target = target
    this.#responder = responder
    this.#hooks = hooks
    this.#now = now
    this.#startedMs = now()
    const { promise, resolve } = Promise.withResolvers<AttemptOutcome>()
    this.outcome = promise
    this.#resolve = resolve
  }

  /** Milliseconds until the head of the response; -1 before it. */
  get headMs(): number {
    return this.#headMs
  }

  start(forwarder: Forwarder, version: 1 | 2, request: UpstreamRequest): void {
    this.#target.load.started()
    const exchange = forwarder.send(this.#target, version, request, this)
    this.#exchange = exchange
    if (this.#done) exchange.abort()
  }

  /** After the client took what was written. */
  resume(): void {
    this.#exchange?.resume()
  }

  /** Ends the try from outside: a timeout, or the client went away. */
  cancel(outcome: AttemptOutcome): void {
    if (this.#done) return
    this.#finish(outcome, outcome.kind === 'failed')
    this.#exchange?.abort()
  }

  onInformational(status: number, headers: HeaderList): void {
    if (this.#done) return
    const broken = (this.#interim ??= new InterimResponses()).broken(status, headers)
    if (broken !== undefined) return void this.#breakOff(broken)
    withoutIdleLength(status, headers)
    this.#guard(() => {
      if (status === 100) this.#responder.continue()
      else this.#responder.informational(status, headers)
    })
  }

  onHead(status: number, headers: HeaderList, ends: boolean): void {
    if (this.#done) return
    const broken = brokenStatus(status)
    if (broken !== undefined) return void this.#breakOff(broken)
    withoutIdleLength(status, headers)
    this.#headMs = this.#now() - this.#startedMs
    if (this.#hooks.retriesStatus(status)) {
      this.cancel({ kind: 'failed', failure: { kind: 'status', status }, error: undefined })
      return
    }
    this.#guard(() => {
      this.#hooks.onHead(status, headers)
      this.#responder.head(status, headers, ends)
    })
  }

  onData(chunk: Buffer): boolean {
    if (this.#done) return true
    this.#hooks.onBytes(chunk.length)
    return this.#responder.data(chunk)
  }

  onEnd(trailers: HeaderList | null): void {
    if (this.#done) return
    this.#guard(() => {
      const passedOn = trailers === null ? null : forwardableTrailers(trailers)
      if (passedOn !== null) this.#hooks.onTrailers(passedOn)
      this.#responder.end(passedOn)
      this.#finish({ kind: 'complete' }, false)
    })
  }

  onError({ kind, error, reusedConnection }: ExchangeFailure): void {
    if (this.#done) return
    if (this.#responder.started || kind === 'request') {
      this.#finish({ kind: 'broken', error }, true)
      return
    }
    // What answers is no connection that had died meanwhile.
    const isDead = reusedConnection && kind !== 'protocol'
    const failure: AttemptFailure = kind === 'connect' ? { kind } : { kind: 'reset', reusedConnection: isDead }
    this.#finish({ kind: 'failed', failure, error }, true)
  }

  /** What comes is no response; the connection that it came on is not used again. */
  #breakOff(error: MeshError): void {
    this.#finish({ kind: 'broken', error }, true)
    this.#exchange?.abort()
  }

  /** Writing to the client can throw (a header with characters that HTTP has not): that ends this request only. */
  #guard(action: () => void): void {
    try {
      action()
    } catch (cause) {
      this.cancel({ kind: 'broken', error: cause as MeshError })
    }
  }

  #finish(outcome: AttemptOutcome, isFailure: boolean): void {
    if (this.#done) return
    this.#done = true
    const elapsed = this.#now() - this.#startedMs
    if (isFailure) this.#target.load.ended(Math.max(elapsed, failurePenaltyMs), this.#now())
    else if (this.#headMs >= 0) this.#target.load.ended(this.#headMs, this.#now())
    else this.#target.load.cancelled()
    this.#resolve(outcome)
  }
}
