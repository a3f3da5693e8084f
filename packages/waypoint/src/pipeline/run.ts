// One request from its matched rule to the end of its response: filters, then tries, then the record. States:
// deciding → (delayed) → trying ⇄ waiting → streaming → done. `#cancelled` is set when the client went away or the
// route's time is over; every wait ends then, and so does the current try.
import { MeshError } from '@wishbone/core/errors'
import { applyCors, applyHeaderModifier, getHeader, type HeaderList, setHeader } from '@wishbone/core/filters'
import { type AttemptFailure, decideRetry, type RetryFacts, retryDelayMs } from '@wishbone/core/retry'
import type { Backend, Filters, Rule, Upstream } from '../compile/index.ts'
import type { Target } from '../forward/target.ts'
import { Attempt, type AttemptHooks, type AttemptOutcome, backendTimeout } from './attempt.ts'
import { type BodySource, bodyFor } from './body-source.ts'
import type { RequestContext } from './context.ts'
import { earlyAnswer, faultOf, targetOf } from './filter.ts'
import { errorReply, type LocalReply, sendLocalReply, statusReply } from './local-reply.ts'
import { malformed } from './malformed.ts'
import { sendMirrors } from './mirror.ts'
import { newRecord, type RequestRecord } from './record.ts'
import { applyRequestFilters } from './request-headers.ts'
import type { Responder } from './responder.ts'
import type { PipelineServices, RequestTrace } from './services.ts'
import { watchStall } from './stalled.ts'
import { runUpgrade, type UpgradeRequest, type UpgradeRun } from './upgrade.ts'
import { chooseBackend } from './weights.ts'

const idempotentMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * What of a request is still read after its response, so that the connection can be kept, or the response is not lost with it
 * (RFC 9112 §9.6): the seconds are those of nginx's lingering_timeout and lingering_time.
 */
const linger = { bytes: 1 << 20, quietMs: 5_000, totalQuiets: 6 }

/** So long a client whose request stood still may read why it is given up. */
const lastWordMs = 1_000

export class RequestRun implements AttemptHooks, UpgradeRun {
  readonly context: RequestContext
  readonly responder: Responder
  readonly services: PipelineServices
  readonly record: RequestRecord
  readonly body: BodySource
  readonly isGrpc: boolean
  readonly #upgrade: UpgradeRequest | undefined
  readonly #trace: RequestTrace | undefined
  readonly #tried = new Set<string>()
  #attempt: Attempt | undefined
  #cancelled: MeshError | undefined
  #judged = 0
  #wake: (() => void) | undefined
  #deadline: NodeJS.Timeout | undefined
  #backendFilters: Filters | null = null
  #reported = false
  /** Before the run has ended. */
  #isAnswered = false
  #onReported: (() => void) | undefined
  readonly #unwatchStall: () => void

  constructor(services: PipelineServices, context: RequestContext, responder: Responder, upgrade?: UpgradeRequest) {
    this.services = services
    this.context = context
    this.responder = responder
    this.#upgrade = upgrade
    this.isGrpc = context.head.isGrpc
    const rule = context.match.kind === 'match' ? context.match.rule : undefined
    this.body = bodyFor(context.request, context.head, responder, rule?.retry !== undefined)
    this.#trace = services.trace?.(context)
    this.record = newRecord(context, services.now())
    this.record.traceId = this.#trace?.traceId
    const progress = {
      received: () => this.body.bytes,
      sent: () => this.record.responseBytes,
      isConversation: context.head.isConversation,
    }
    // Clients in the mesh are known, and may be silent for as long as they like.
    const isStranger = context.connection.destination.kind === 'gateway'
    this.#unwatchStall = isStranger
      ? watchStall(context.request, responder, progress, services.stallTimeoutMs, () => this.#onStall())
      : () => {}
    responder.onClose((complete) => this.#onClosed(complete))
    responder.onDrain(() => this.#attempt?.resume())
  }

  /** Never rejects. */
  async run(): Promise<void> {
    try {
      // It went while a plugin's hook was waited for, and nothing tells of it any more.
      if (this.responder.closed) this.#onClosed(false)
      else await this.#serve()
    } catch (cause) {
      this.#fail(MeshError.from(cause))
    }
    clearTimeout(this.#deadline)
    const quietMs = Math.min(linger.quietMs, this.services.stallTimeoutMs)
    this.body.finish({
      bytes: linger.bytes,
      quietMs,
      totalMs: linger.totalQuiets * quietMs,
      isTaken: () => this.responder.taken,
    })
  }

  async #serve(): Promise<void> {
    const { context } = this
    const problem = malformed(context.request, context.head)
    if (problem !== undefined) {
      this.services.refused('bad-request')
      // Where the next request begins is not for such a client to say.
      this.responder.closeAfter()
      throw new MeshError('bad-request', problem, { at: 'downstream' })
    }
    const expectation = context.head.header('expect')
    if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') {
      this.responder.closeAfter()
      return this.reply(statusReply(417), 'expectation')
    }
    if (context.misdirected) return this.reply(statusReply(421), 'misdirected')
    if (context.listener === undefined)
      throw new MeshError('no-route', `nothing listens for host "${context.head.host}" here`)
    this.#judged = this.services.authorizer.forListener(context.listener, context.connection, context.head)
    if (context.match.kind === 'no-match')
      throw new MeshError('no-route', `no route of ${context.listener.name} matches the request`)
    const { rule, matchedPrefix } = context.match
    if (rule.requestTimeoutMs !== undefined) this.#setDeadline(rule.requestTimeoutMs)
    const fault = faultOf(rule.filters, this.services.random)
    if (fault.delayMs > 0) await this.#sleep(fault.delayMs)
    if (fault.reply !== undefined) return this.reply(fault.reply, 'fault')
    const early = earlyAnswer(rule.filters, context, matchedPrefix)
    if (early !== undefined) return this.reply(early.reply, early.detail)
    await this.#forward(rule, matchedPrefix)
  }

  async #forward(rule: Rule, matchedPrefix: string): Promise<void> {
    const { context, services } = this
    const backend = chooseBackend(rule.backends, services.random)
    this.record.backend = backend
    if (backend === undefined) throw new MeshError('invalid-backend', `${rule.name} has no backend`)
    if (backend.kind === 'invalid')
      throw new MeshError('invalid-backend', `backend of ${rule.name}: ${backend.reason}: ${backend.message}`)
    this.#backendFilters = backend.filters
    if (backend.filters !== null) {
      const early = earlyAnswer(backend.filters, context, matchedPrefix)
      if (early !== undefined) return this.reply(early.reply, early.detail)
    }
    const headers = [...context.requestHeaders]
    let authority = applyRequestFilters(headers, context.head.authority, rule.filters)
    if (backend.filters !== null) authority = applyRequestFilters(headers, authority, backend.filters)
    if (this.#trace !== undefined) for (const [name, value] of this.#trace.headers) setHeader(headers, name, value)
    const target = targetOf(context.head, matchedPrefix, rule.filters, backend.filters)
    sendMirrors(this, rule.filters, { target, authority, headers })
    if (backend.filters !== null) sendMirrors(this, backend.filters, { target, authority, headers })
    if (this.#upgrade !== undefined) {
      return runUpgrade(this, this.#upgrade, backend, { target, authority, headers }, rule.backendTimeoutMs)
    }
    await this.body.prepare()
    await this.#tryUntilDone(rule, backend, { target, authority, headers })
  }

  async #tryUntilDone(
    rule: Rule,
    backend: Upstream,
    to: { readonly target: string; readonly authority: string; readonly headers: HeaderList },
  ): Promise<void> {
    const { record, services } = this
    for (;;) {
      if (this.#cancelled !== undefined) throw this.#cancelled
      const target = await this.pick(backend)
      const version = versionFor(this.context, target)
      const attempt = new Attempt(target, this.responder, this, services.now)
      this.#attempt = attempt
      record.tries++
      const limit = rule.backendTimeoutMs
      const timer = limit === undefined ? undefined : setTimeout(() => this.#onBackendTimeout(attempt, limit), limit)
      const body = this.body.open()
      attempt.start(services.forwarder, version, {
        method: this.context.head.method,
        ...to,
        body,
        expectsContinue: body !== null && this.responder.awaitsContinue,
        trailers: this.body.trailers,
        acceptsTrailers:
          version === 2 ? this.isGrpc || this.context.head.acceptsTrailers : this.context.head.acceptsTrailers,
      })
      // A stream may live for long: it is judged again when policies change.
      const unfollow = services.authorizer.follow({
        target,
        connection: this.context.connection,
        listener: this.context.listener,
        request: this.context.head,
        onDenied: (error) => this.#cancel(error),
      })
      const outcome = await attempt.outcome
      unfollow()
      clearTimeout(timer)
      this.#attempt = undefined
      record.upstreamMs = attempt.headMs
      if (outcome.kind === 'complete') return
      if (this.#cancelled !== undefined) throw this.#cancelled
      if (outcome.kind === 'broken') throw MeshError.from(outcome.error, 'backend-protocol', { at: 'upstream' })
      // The rest of the body is not for this try.
      if (body !== null && !Buffer.isBuffer(body)) body.destroy()
      await this.#beforeNextTry(rule, backend, outcome)
    }
  }

  async #beforeNextTry(rule: Rule, backend: Upstream, outcome: AttemptOutcome & { kind: 'failed' }): Promise<void> {
    const facts = this.#retryFacts(backend)
    // A refused stream has had some of the body already.
    if (!facts.replayable || decideRetry(rule.retry, outcome.failure, facts) === 'no')
      throw outcome.error ?? new MeshError('internal', 'no retry')
    const waitMs = retryDelayMs(rule.retry, outcome.failure, facts, this.services.random)
    if (waitMs > 0) await this.#sleep(waitMs)
  }

  /** The endpoint of the next try, with its policies enforced. @throws MeshError */
  async pick(backend: Upstream): Promise<Target> {
    const { connection, listener, head } = this.context
    const target = this.services.endpoints.pick(backend, connection.port, this.#tried)
    this.#tried.add(target.key)
    this.record.target = target
    if (connection.destination.kind === 'waypoint') {
      const waiting = this.services.authorizer.forTarget(target, connection, head)
      if (waiting !== undefined) await waiting
    }
    this.#judged = this.services.authorizer.stillForListener(this.#judged, listener, connection, head)
    return target
  }

  /** Whether there is an endpoint that was not picked yet. */
  hasOther(backend: Upstream): boolean {
    return this.services.endpoints.hasOther(backend, this.#tried)
  }

  reply(reply: LocalReply, detail: string | undefined): void {
    const { record } = this
    record.detail = detail
    const headers = [...reply.headers]
    this.#decorate(reply.status, headers, record.rule?.filters ?? null)
    record.status = this.isGrpc && reply.grpcStatus !== undefined ? 200 : reply.status
    if (this.isGrpc && reply.grpcStatus !== undefined) record.grpcStatus = String(reply.grpcStatus)
    record.responseBytes += sendLocalReply(this.responder, { ...reply, headers }, this.isGrpc)
  }

  retriesStatus(status: number): boolean {
    const { rule, backend } = this.record
    if (rule?.retry === undefined || backend === undefined || backend.kind === 'invalid') return false
    return decideRetry(rule.retry, { kind: 'status', status }, this.#retryFacts(backend)) === 'yes'
  }

  onHead(status: number, headers: HeaderList): void {
    const { record } = this
    record.status = status
    if (this.isGrpc) record.grpcStatus = grpcStatusIn(headers)
    const filters = record.rule!.filters
    for (const modifier of filters.responseHeaders) applyHeaderModifier(headers, modifier)
    if (this.#backendFilters !== null)
      for (const modifier of this.#backendFilters.responseHeaders) applyHeaderModifier(headers, modifier)
    this.#decorate(status, headers, filters)
  }

  onBytes(count: number): void {
    this.record.responseBytes += count
  }

  onTrailers(trailers: HeaderList): void {
    if (this.isGrpc) this.record.grpcStatus = grpcStatusIn(trailers) ?? this.record.grpcStatus
  }

  /** What every final response gets: CORS, then what plugins do. */
  #decorate(status: number, headers: HeaderList, filters: Filters | null): void {
    const cors = this.#backendFilters?.cors ?? filters?.cors
    const origin = cors === undefined ? undefined : this.context.head.header('origin')
    if (cors !== undefined && origin !== undefined) applyCors(headers, cors, origin)
    for (const hook of this.context.responseHooks) hook(status, headers)
  }

  #retryFacts(backend: Backend): RetryFacts {
    const otherEndpoint = backend.kind === 'service' && this.hasOther(backend)
    const idempotent = idempotentMethods.has(this.context.head.method)
    return { tries: this.record.tries, idempotent, replayable: this.body.replayable, otherEndpoint }
  }

  #setDeadline(limitMs: number): void {
    this.#deadline = setTimeout(
      () =>
        this.#cancel(
          new MeshError('request-timeout', `the request took longer than ${limitMs} ms`, { at: 'upstream' }),
        ),
      limitMs,
    )
  }

  #onBackendTimeout(attempt: Attempt, limitMs: number): void {
    const error = backendTimeout(limitMs)
    const failure: AttemptFailure = { kind: 'backend-timeout' }
    attempt.cancel(this.responder.started ? { kind: 'broken', error } : { kind: 'failed', failure, error })
  }

  #cancel(error: MeshError): void {
    this.#cancelled ??= error
    this.#attempt?.cancel({ kind: 'broken', error })
    this.#wake?.()
  }

  /** Aborted when the client goes away or the time is over. */
  signal(): AbortSignal {
    const controller = new AbortController()
    this.#wake = () => controller.abort(this.#cancelled)
    if (this.#cancelled !== undefined) controller.abort(this.#cancelled)
    return controller.signal
  }

  /** An upgraded connection lives as long as its ends want. */
  clearDeadline(): void {
    this.#unwatchStall()
    clearTimeout(this.#deadline)
    this.#wake = undefined
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    this.#wake = resolve
    if (this.#cancelled === undefined) await promise
    this.#wake = undefined
    clearTimeout(timer)
    if (this.#cancelled !== undefined) throw this.#cancelled
  }

  #fail(error: MeshError): void {
    if (this.#isAnswered) return
    this.record.error = error
    if (error.code === 'internal')
      this.services.log.error('a request failed inside the proxy', {
        error: error.describe(),
        stack: (error.cause as Error)?.stack ?? error.stack,
      })
    if (this.responder.closed) return
    try {
      if (this.responder.started) this.responder.reset()
      else this.reply(errorReply(error.code), undefined)
    } catch (cause) {
      this.services.log.warn('a response could not be sent', { error: MeshError.from(cause).describe() })
      this.responder.reset()
    }
  }

  #onStall(): void {
    const { services, responder } = this
    services.refused('stalled')
    const passed = `for ${services.stallTimeoutMs} ms in the middle of the request`
    if (responder.started) {
      this.record.error ??= new MeshError('client-stalled', `the client took nothing ${passed}`, { at: 'downstream' })
      return void responder.reset()
    }
    // RFC 9110 §15.5.9: 408, and the connection is closed.
    responder.closeAfter()
    this.#fail(new MeshError('client-stalled', `the client sent nothing ${passed}`, { at: 'downstream' }))
    this.#isAnswered = true
    this.#cancel(this.record.error as MeshError)
    // It may not take this either.
    setTimeout(() => responder.reset(), lastWordMs).unref()
  }

  #onClosed(complete: boolean): void {
    this.#unwatchStall()
    const { record } = this
    if (!complete) {
      const error = new MeshError('client-closed', 'the client went away before the response was complete', {
        at: 'downstream',
      })
      record.error ??= error
      this.#cancel(error)
    }
    this.finish()
  }

  onReported(listener: () => void): void {
    this.#onReported = listener
  }

  /** Reports, the first time it is called: nothing more comes. */
  finish(): void {
    if (this.#reported) return
    this.#reported = true
    const { record } = this
    record.durationMs = this.services.now() - record.startedMs
    record.requestBytes += this.body.bytes
    this.#trace?.end(record)
    this.services.report(record)
    this.#onReported?.()
  }
}

/** As the backend says it. It becomes a label of metrics, which any text may not: each new one would be kept for good. */
function grpcStatusIn(list: HeaderList): string | undefined {
  const status = getHeader(list, 'grpc-status')
  return status === undefined || /^\d{1,2}$/.test(status) ? status : 'invalid'
}

/** Towards a Service that says nothing of its protocol, a waypoint speaks what the client chose to speak to it. */
export function versionFor({ head, connection }: RequestContext, { protocol }: Target): 1 | 2 {
  if (head.isGrpc || protocol === 'http2') return 2
  return protocol === 'unknown' && head.isHttp2 && connection.destination.kind === 'waypoint' ? 2 : 1
}
