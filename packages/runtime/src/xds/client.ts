// The client of the configuration stream: delta ADS over gRPC, for as long as the program runs (ambient wire §2.1, §2.2).
import { create } from '@bufbuild/protobuf'
import grpc from '@grpc/grpc-js'
import { MeshError } from '@wishbone/core/errors'
import { ClientSession, type DeltaRequest } from '@wishbone/core/xds'
import { discovery } from '@wishbone/proto'
import { backoff } from '../lifecycle/backoff.ts'
import { delay } from '../lifecycle/delay.ts'
import { inTurns, type Steps } from '../lifecycle/in-turns.ts'
import { callMetadata, callStream, connectMs, type MeshChannelOptions, meshChannel } from './grpc.ts'
import { type ResponseEnvelope, readEnvelope, readResource } from './response.ts'
import type { AdsEvents, AdsNode, AdsResource, AdsType, RejectedResource } from './types.ts'
import { Waiters } from './waiters.ts'

export interface AdsClientOptions extends MeshChannelOptions {
  readonly tokenFile?: string
  readonly clusterId?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly node: AdsNode
  /** Requested in this order. */
  readonly types: readonly AdsType[]
  readonly log: {
    info(message: string, fields?: Record<string, unknown>): void
    warn(message: string, fields?: Record<string, unknown>): void
  }
  readonly events?: AdsEvents
}

type Stream = grpc.ClientDuplexStream<unknown, ResponseEnvelope>

interface Taken {
  readonly resources: readonly AdsResource[]
  readonly rejected: readonly RejectedResource[]
}

/** Statuses with which servers and middle boxes end healthy streams: no reason to wait (ambient wire §2.1). */
const ordinaryEnds: ReadonlySet<number> = new Set([
  grpc.status.OK,
  grpc.status.UNKNOWN,
  grpc.status.CANCELLED,
  grpc.status.DEADLINE_EXCEEDED,
])

const maxPauseMs = 2_000

/**
 * Lifecycle: run() opens a channel and a stream, sends the first request of every type with the versions that are held, and answers
 * every response; when the stream ends, it starts again after 10 ms, doubled up to 2 s while nothing is received: a controller that is
 * back must not wait long for its proxies, and half of each pause is random so that they do not come as one. It ends with its signal.
 */
export class AdsClient {
  readonly #options: AdsClientOptions
  readonly #session: ClientSession
  readonly #types: ReadonlyMap<string, AdsType>
  readonly #answers = new Waiters()
  #stream: Stream | undefined
  /** Settles when all responses are answered; undefined: they are. */
  #receiving: Promise<void> | undefined
  /** Settles when all that was answered is in force; undefined: it is. */
  #settling: Promise<unknown> | undefined
  #onReady: (() => void) | undefined
  /** Settles when every wildcard type has been answered and acknowledged once. */
  readonly whenReady: Promise<void>

  constructor(options: AdsClientOptions) {
    this.#options = options
    this.#session = new ClientSession(options.types)
    this.#types = new Map(options.types.map((type) => [type.typeUrl, type]))
    this.whenReady = new Promise((resolve) => {
      this.#onReady = resolve
    })
  }

  /** Whether every wildcard type has been answered and acknowledged once; stays true when the stream is lost later. */
  ready(): boolean {
    return this.#session.ready
  }

  /** Type URLs that readiness still waits for. */
  pending(): readonly string[] {
    return this.#session.pending
  }

  get connected(): boolean {
    return this.#stream !== undefined
  }

  /** Runs until the signal; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const pauses = backoff({ firstMs: 10, maxMs: maxPauseMs, factor: 2, jitter: 0.5 })
    let failures = 0
    while (!signal.aborted) {
      const end = await this.#connectOnce(signal)
      if (signal.aborted) return
      if (end.received) {
        pauses.reset()
        failures = 0
      }
      const pauseMs = end.received && ordinaryEnds.has(end.code) ? 10 : pauses.next()
      this.#options.events?.terminated?.(grpc.status[end.code] ?? 'UNKNOWN')
      const fields = { address: this.#options.address, status: grpc.status[end.code], retryInMs: Math.round(pauseMs) }
      if (end.received && ordinaryEnds.has(end.code))
        this.#options.log.info('the configuration stream ended; reconnecting', fields)
      // A line for each of the first pauses, which grow, and then about one a minute.
      else if (failures < 5 || failures % 40 === 0)
        this.#options.log.warn(`no configuration stream: ${end.message}`, { ...fields, failures: failures + 1 })
      if (!end.received) failures++
      await delay(pauseMs, signal)
    }
  }

  /**
   * Asks for names of an on-demand type. Settles when each has been answered, be it with "there is none"; at once for those that
   * are held. Rejects with `workload-unknown` after `timeoutMs`.
   */
  async subscribe(typeUrl: string, names: readonly string[], timeoutMs = 5_000): Promise<void> {
    const request = this.#session.subscribe(typeUrl, names)
    if (request === undefined && !names.some((name) => this.#answers.open(typeUrl, name))) return
    const answered = names.filter((name) => request?.subscribe.includes(name) || this.#answers.open(typeUrl, name))
    const wait = Promise.all(answered.map((name) => this.#answers.wait(typeUrl, name)))
    if (request !== undefined) this.#send(request)
    const answeredInTime = new AbortController()
    const late = delay(timeoutMs, answeredInTime.signal).then(() => {
      throw new MeshError('workload-unknown', `no answer for ${names.join(', ')} within ${timeoutMs} ms`, {
        hint: `is the controller at ${this.#options.address} reachable?`,
      })
    })
    await Promise.race([wait, late]).finally(() => answeredInTime.abort())
  }

  unsubscribe(typeUrl: string, names: readonly string[]): void {
    const request = this.#session.unsubscribe(typeUrl, names)
    if (request !== undefined) this.#send(request)
  }

  async #connectOnce(signal: AbortSignal): Promise<{ code: number; message: string; received: boolean }> {
    let channel: grpc.Client | undefined
    let received = false
    try {
      channel = await meshChannel(this.#options)
      const metadata = await callMetadata(this.#options)
      const method = discovery.AggregatedDiscoveryService.method.deltaAggregatedResources
      const stream = callStream(channel, method, metadata, readEnvelope) as Stream
      const onAbort = () => stream.cancel()
      signal.addEventListener('abort', onAbort, { once: true })
      const ended = new Promise<grpc.StatusObject>((resolve) => stream.on('status', resolve))
      let late = false
      const timer = setTimeout(() => {
        late = channel?.getChannel().getConnectivityState(false) === grpc.connectivityState.CONNECTING
        if (late) stream.cancel()
      }, connectMs)
      stream.on('error', () => undefined) // the status says the same
      stream.on('data', (response: ResponseEnvelope) => {
        if (!received) this.#options.events?.connected?.()
        received = true
        this.#receive(response, stream)
      })
      // What the last stream brought is among the versions that are held.
      await this.#receiving
      this.#stream = stream
      if (signal.aborted) stream.cancel()
      for (const request of this.#session.connect()) this.#send(request, true)
      const { code, details } = await ended
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      const message = late ? `no connection to ${this.#options.address} within ${connectMs} ms` : details
      return { code, message, received }
    } catch (cause) {
      return {
        code: grpc.status.UNAVAILABLE,
        message: cause instanceof Error ? cause.message : String(cause),
        received,
      }
    } finally {
      this.#stream = undefined
      channel?.close()
    }
  }

  /**
   * Responses are taken one after another, each at once unless it, or one before it, needs several turns. One by which something leaves
   * also waits until what came before it is in force: that may have been the last to name it no more.
   */
  #receive(response: ResponseEnvelope, stream: Stream): void {
    const bytes = response.resources.reduce((sum, { length }) => sum + length, 0)
    this.#options.events?.received?.(response.typeUrl, response.resources.length, bytes)
    const waits = response.removed.length > 0 && this.#types.get(response.typeUrl)?.inForce === undefined
    const take = () => {
      const settling = waits ? this.#settling : undefined
      return settling === undefined ? this.#take(response) : settling.then(() => this.#take(response))
    }
    const answer = (taken: Taken) => this.#answer(response, taken, stream)
    const taken = this.#receiving === undefined ? take() : this.#receiving.then(take)
    if (!(taken instanceof Promise)) {
      answer(taken)
      return
    }
    const receiving = taken.then(answer).finally(() => {
      if (this.#receiving === receiving) this.#receiving = undefined
    })
    this.#receiving = receiving
  }

  #take(response: ResponseEnvelope): Taken | Promise<Taken> {
    const resources: AdsResource[] = []
    const refuse = (cause: unknown): Taken => {
      // A fault of ours, not of the resources: they count as not taken, and the next stream asks for them again.
      const reason = `not applied: ${cause instanceof Error ? cause.message : cause}`
      this.#options.log.warn(reason, { typeUrl: response.typeUrl, resources: response.resources.length })
      return { resources, rejected: resources.map(({ name }) => ({ name, reason })) }
    }
    try {
      const taken = inTurns(this.#steps(response, resources), { onTurn: this.#options.events?.turn })
      return taken instanceof Promise ? taken.catch(refuse) : taken
    } catch (cause) {
      return refuse(cause)
    }
  }

  /** Appends to `resources` as they are read, so that they are known when something fails. */
  *#steps({ typeUrl, removed, resources: encoded }: ResponseEnvelope, resources: AdsResource[]): Steps<Taken> {
    const unreadable: RejectedResource[] = []
    for (const [index, bytes] of encoded.entries()) {
      try {
        resources.push(readResource(bytes))
      } catch (cause) {
        unreadable.push({ name: `resource ${index}`, reason: `does not decode: ${(cause as Error).message}` })
      }
      yield
    }
    const type = this.#types.get(typeUrl)
    const rejected = type === undefined ? [] : yield* type.apply(resources, removed)
    return { resources, rejected: [...unreadable, ...rejected] }
  }

  #answer({ typeUrl, nonce, removed }: ResponseEnvelope, { resources, rejected }: Taken, stream: Stream): void {
    if (rejected.length > 0) this.#options.log.warn('resources rejected', { typeUrl, rejected: rejected.slice(0, 10) })
    const versions = resources.map((resource) => [resource.name, resource.version] as const)
    const request = this.#session.received({ typeUrl, nonce, resources: versions, removed, rejected })
    const send = () => {
      if (this.#stream === stream) this.#send(request)
    }
    const inForce = this.#types.get(typeUrl)?.inForce?.()
    if (inForce === undefined) send()
    else {
      const settling = Promise.all([this.#settling, inForce.then(send)]).then(() => {
        if (this.#settling === settling) this.#settling = undefined
      })
      this.#settling = settling
    }
    for (const name of removed) this.#answers.settle(typeUrl, name)
    for (const { name, aliases } of resources) for (const one of [name, ...aliases]) this.#answers.settle(typeUrl, one)
    if (this.#session.ready) this.#onReady?.()
  }

  #send(request: DeltaRequest, first = false): void {
    this.#stream?.write(
      create(discovery.DeltaDiscoveryRequestSchema, {
        ...(first && { node: { id: this.#options.node.id, metadata: this.#options.node.metadata } }),
        typeUrl: request.typeUrl,
        resourceNamesSubscribe: [...request.subscribe],
        resourceNamesUnsubscribe: [...request.unsubscribe],
        initialResourceVersions: Object.fromEntries(request.initialVersions),
        responseNonce: request.nonce,
        ...(request.error !== undefined && { errorDetail: { message: request.error } }),
      }),
    )
  }
}
