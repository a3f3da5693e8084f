// All connected clients, and the configuration of the moment. Who may see what is decided once per stream, by its token.
import { status as grpcStatus } from '@grpc/grpc-js'
import type { ResourceMap, ResourceSet as SessionResources } from '@wishbone/core/xds'
import { typeUrls } from '@wishbone/proto'
import { clientScope, type Review, type ScopeSources, type TokenReviewer } from '../callers/index.ts'
import { view } from '../encode/index.ts'
import { type Log, messageOf } from '../log.ts'
import type { ClientScope, ResourceSet, Resources } from '../model/index.ts'
import { type AdsCall, Client, type ClientObserver, type ClientReport } from './client.ts'
import { Demand } from './demand.ts'
import { stableResources, stableSet } from './stable.ts'

export interface ClientsOptions {
  readonly reviewer: Pick<TokenReviewer, 'review'>
  readonly sources: Omit<ScopeSources, 'scopes'>
  readonly log: Log
  readonly observer: ClientObserver
}

type Decision =
  | { readonly kind: 'client'; readonly client: Client }
  | { readonly kind: 'refused'; readonly code: grpcStatus; readonly reason: string }

type NoCaller = Exclude<Review, { readonly kind: 'caller' }>

/** A proxy has one, and for a minute maybe those whose connections it has lost. */
const streamsPerPod = 16
/** How long one kind of clients may hold up the other. */
const settleMs = 300

/**
 * Who gets a change first, so that no ztunnel sends to a waypoint what that does not serve: waypoints before traffic is
 * pointed at them, ztunnels before waypoints stop serving. Pure.
 */
export function publicationOrder(
  before: ResourceSet | undefined,
  next: ResourceSet,
): readonly [ClientScope['kind'], ClientScope['kind']] {
  const listeners = next.gateway.get(typeUrls.listener)
  for (const name of before?.gateway.get(typeUrls.listener)?.keys() ?? []) {
    if (!listeners?.has(name)) return ['ztunnel', 'gateway']
  }
  return ['gateway', 'ztunnel']
}

export class Clients {
  readonly #options: ClientsOptions
  readonly #clients = new Set<Client>()
  readonly #views = new Map<string, Resources>()
  #set: ResourceSet | undefined
  #sequence = 0
  #timer: NodeJS.Timeout | undefined
  #waitingSince: number | undefined

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  /** Whether there is anything to serve yet. */
  get hasConfiguration(): boolean {
    return this.#set !== undefined
  }

  get resources(): ResourceSet | undefined {
    return this.#set
  }

  count(kind: ClientScope['kind']): number {
    let count = 0
    for (const { scope } of this.#clients) if (scope.kind === kind) count++
    return count
  }

  /** Makes a configuration the current one and sends every client what of it is new to it. */
  publish(next: ResourceSet): void {
    const set = stableSet(this.#set, next)
    if (set.ztunnel === this.#set?.ztunnel && set.gateway === this.#set.gateway && set.scopes === this.#set.scopes)
      return
    const order = publicationOrder(this.#set, set)
    this.#set = set
    for (const key of this.#views.keys()) if (!set.scopes.has(key)) this.#views.delete(key)
    this.#send(order[0])
    this.#sendAfter(order[0], order[1])
  }

  /** Sends to one kind of clients once the other has taken its part, or when that takes too long. */
  #sendAfter(first: ClientScope['kind'], second: ClientScope['kind']): void {
    clearTimeout(this.#timer)
    this.#waitingSince ??= Date.now()
    const deadline = this.#waitingSince + settleMs
    const look = (): void => {
      const waits = [...this.#clients].some((client) => client.scope.kind === first && !client.isSettled)
      if (waits && Date.now() < deadline) {
        this.#timer = setTimeout(look, 5)
        return
      }
      this.#waitingSince = undefined
      this.#send(second)
    }
    look()
  }

  #send(kind: ClientScope['kind']): void {
    const fresh = new Set<string>()
    for (const client of this.#clients) {
      if (client.scope.kind !== kind) continue
      try {
        client.publish(this.#resourcesFor(client.scope, fresh))
      } catch (cause) {
        // One client's session must not keep the others from their configuration.
        this.#options.log.error('cannot send configuration to a client', { client: client.id, error: cause })
      }
    }
  }

  reports(): readonly ClientReport[] {
    return [...this.#clients].map((client) => client.report())
  }

  /** Node proxies that have not acknowledged the current form of an Address (or its absence); by node. */
  behind(name: string): readonly string[] {
    const current = this.#set?.ztunnel.get(typeUrls.address)?.get(name)?.version
    const behind: string[] = []
    for (const client of this.#clients) {
      if (client.scope.kind !== 'ztunnel') continue
      const acknowledged: ResourceMap | undefined = client.acknowledged(typeUrls.address)
      if (acknowledged === undefined || acknowledged.get(name)?.version !== current)
        behind.push(client.scope.node ?? client.id)
    }
    return behind
  }

  /** Serves one stream until it ends. Never throws. */
  serve(call: AdsCall): void {
    const { log } = this.#options
    const pending: Parameters<Client['request']>[0][] = []
    const demand = new Demand()
    let client: Client | undefined
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      if (client === undefined) return
      this.#clients.delete(client)
      log.info('a client left', { client: client.id })
    }
    const fail = (code: grpcStatus, details: string): void => {
      end()
      call.emit('error', { code, details })
    }
    const take = (message: Parameters<Client['request']>[0]): void => {
      if (ended) return
      // What a client may say before it is known is bounded.
      if (client === undefined) {
        if (pending.push(message) > 16) fail(grpcStatus.RESOURCE_EXHAUSTED, 'too many requests before authentication')
        return
      }
      try {
        const excess = demand.excessOf(message)
        if (excess === undefined) client.request(message)
        else {
          log.warn('a client asks for too much; its stream is ended', { client: client.id, excess })
          fail(grpcStatus.RESOURCE_EXHAUSTED, excess)
        }
      } catch (cause) {
        log.error('cannot handle a request on the configuration stream', { client: client.id, error: cause })
        fail(grpcStatus.INTERNAL, 'internal error')
      }
    }
    call.on('data', take)
    call.on('error', end)
    call.on('cancelled', end)
    call.on('close', end)
    call.on('end', () => {
      end()
      call.end()
    })
    void this.#admit(call).then((decision) => {
      if (ended) return
      if (decision.kind === 'refused') {
        log.warn('refused a client of the configuration stream', { reason: decision.reason, peer: call.getPeer() })
        return fail(decision.code, decision.reason)
      }
      client = decision.client
      const { pod } = client.caller
      const others = [...this.#clients].filter(({ caller }) => caller.pod?.uid === pod?.uid)
      if (others.length >= streamsPerPod) {
        log.warn('refused a client of the configuration stream: its pod has too many', { client: client.id })
        return fail(grpcStatus.RESOURCE_EXHAUSTED, `pod ${pod?.name} has ${others.length} streams already`)
      }
      this.#clients.add(client)
      log.info('a client joined', { client: client.id, scope: client.scope, peer: call.getPeer() })
      for (const message of pending.splice(0)) take(message)
    })
  }

  /** What a stream is answered whose token is not good, and the line about it. */
  refuse({ kind, reason }: NoCaller, peer: string): { readonly code: grpcStatus; readonly details: string } {
    this.#options.log.warn('refused a client of the configuration stream', { reason, peer })
    return { code: kind === 'refused' ? grpcStatus.UNAUTHENTICATED : grpcStatus.UNAVAILABLE, details: reason }
  }

  async #admit(call: AdsCall): Promise<Decision> {
    try {
      const review = await this.#options.reviewer.review(call.metadata.get('authorization')[0]?.toString())
      if (review.kind !== 'caller') {
        const code = review.kind === 'refused' ? grpcStatus.UNAUTHENTICATED : grpcStatus.UNAVAILABLE
        return { kind: 'refused', code, reason: review.reason }
      }
      // Without a configuration a client must wait: an empty answer would tell it to forget everything.
      const set = this.#set
      if (set === undefined)
        return {
          kind: 'refused',
          code: grpcStatus.UNAVAILABLE,
          reason: 'the controller has not read the cluster yet; try again',
        }
      const { caller } = review
      const answer = await clientScope(caller, {
        ...this.#options.sources,
        scopes: () => this.#set?.scopes ?? set.scopes,
      })
      if (answer.kind === 'denied')
        return { kind: 'refused', code: grpcStatus.PERMISSION_DENIED, reason: answer.reason }
      const { scope } = answer
      const who = scope.kind === 'ztunnel' ? `ztunnel/${scope.node}` : `gateway/${scope.namespace}/${scope.name}`
      const id = `${who}/${caller.pod?.name ?? caller.serviceAccount}-${++this.#sequence}`
      const { log, observer } = this.#options
      const resources = this.#resourcesFor(scope, new Set())
      return { kind: 'client', client: new Client({ id, scope, caller, call, resources, log, observer }) }
    } catch (cause) {
      const reason = `the Kubernetes API does not say who this is: ${messageOf(cause)}`
      return { kind: 'refused', code: grpcStatus.UNAVAILABLE, reason }
    }
  }

  /** `fresh` names the gateways whose view of this configuration has been made already. */
  #resourcesFor(scope: ClientScope, fresh: Set<string>): SessionResources {
    const set = this.#set!
    if (scope.kind === 'ztunnel') return set.ztunnel
    const key = `${scope.namespace}/${scope.name}`
    const known = this.#views.get(key)
    if (known !== undefined && fresh.has(key)) return known
    const made = stableResources(known, view(set, scope))
    this.#views.set(key, made)
    fresh.add(key)
    return made
  }
}
