// One client's stream: its session (pure, in core) between the requests that come and the responses that go. The session
// has at most one unanswered response per type, so a slow client costs no memory.
import type { ServerDuplexStream } from '@grpc/grpc-js'
import {
  acknowledgedResources,
  createSession,
  isSettled,
  readRequest,
  type Session,
  type SessionInput,
  type ResourceSet as SessionResources,
  step,
} from '@wishbone/core/xds'
import { type discovery, typeUrls } from '@wishbone/proto'
import type { Caller } from '../callers/index.ts'
import type { Log } from '../log.ts'
import type { ClientScope } from '../model/index.ts'
import { responseBytes } from './response.ts'

export type AdsCall = ServerDuplexStream<discovery.DeltaDiscoveryRequest, Uint8Array>

export interface ClientObserver {
  pushed(typeUrl: string, resources: number, bytes: number): void
  rejected(typeUrl: string): void
}

/** What an operator sees of a type: counts, and the last rejection with its time. */
export interface TypeReport {
  readonly mode: 'wildcard' | 'on-demand'
  readonly sent: number
  readonly acknowledged: number
  readonly rejected: number
  readonly waiting: boolean
  readonly lastRejection?: { readonly at: string; readonly message: string }
}

export interface ClientReport {
  readonly id: string
  readonly scope: ClientScope
  readonly account: string
  readonly pod: string | undefined
  /** What the client says of itself; decides nothing. */
  readonly node: string
  readonly peer: string
  readonly connectedAt: string
  readonly types: Readonly<Record<string, TypeReport>>
}

/** Of what a client says, in logs and dumps. */
const longestText = 2_000

interface Counts {
  sent: number
  acknowledged: number
  rejected: number
  lastRejection?: { readonly at: string; readonly message: string }
}

export class Client {
  readonly id: string
  readonly scope: ClientScope
  readonly caller: Caller
  readonly #call: AdsCall
  readonly #log: Log
  readonly #observer: ClientObserver
  readonly #connectedAt = new Date().toISOString()
  readonly #counts = new Map<string, Counts>()
  #session: Session
  #node = ''

  constructor(options: {
    readonly id: string
    readonly scope: ClientScope
    readonly caller: Caller
    readonly call: AdsCall
    readonly resources: SessionResources
    readonly log: Log
    readonly observer: ClientObserver
  }) {
    this.id = options.id
    this.scope = options.scope
    this.caller = options.caller
    this.#call = options.call
    this.#log = options.log
    this.#observer = options.observer
    const { scope, resources } = options
    const session =
      scope.kind === 'ztunnel'
        ? {
            resources,
            expects: [typeUrls.authorization],
            groups: scope.node === undefined ? [] : [`node:${scope.node}`],
          }
        : { resources }
    this.#session = createSession(session)
  }

  request(message: discovery.DeltaDiscoveryRequest): void {
    if (message.node !== undefined) this.#node = message.node.id.slice(0, longestText)
    this.#step({ kind: 'request', request: readRequest(message) })
  }

  /** Sends what changed, as far as this client has subscribed to it. */
  publish(resources: SessionResources): void {
    this.#step({ kind: 'resources', resources })
  }

  /** Nothing that was sent waits for an answer, and nothing waits to be sent. */
  get isSettled(): boolean {
    return isSettled(this.#session)
  }

  /** The resources of a type up to which this client has acknowledged everything. */
  acknowledged(typeUrl: string): ReturnType<typeof acknowledgedResources> {
    return acknowledgedResources(this.#session, typeUrl)
  }

  report(): ClientReport {
    const types: Record<string, TypeReport> = {}
    for (const [typeUrl, type] of this.#session.types) {
      const counts = this.#counts.get(typeUrl) ?? { sent: 0, acknowledged: 0, rejected: 0 }
      types[typeUrl] = {
        mode: type.wildcard ? 'wildcard' : 'on-demand',
        waiting: type.outstanding !== undefined,
        ...counts,
      }
    }
    const { namespace, serviceAccount, pod } = this.caller
    return {
      id: this.id,
      scope: this.scope,
      account: `${namespace}/${serviceAccount}`,
      pod: pod?.name,
      node: this.#node,
      peer: this.#call.getPeer(),
      connectedAt: this.#connectedAt,
      types,
    }
  }

  #step(input: SessionInput): void {
    const [session, outputs] = step(this.#session, input)
    this.#session = session
    for (const output of outputs) {
      switch (output.kind) {
        case 'response': {
          const { response } = output
          const bytes = responseBytes(response)
          this.#count(response.typeUrl).sent++
          this.#observer.pushed(response.typeUrl, response.resources.length, bytes.length)
          this.#call.write(bytes)
          break
        }
        case 'acknowledged':
          this.#count(output.typeUrl).acknowledged++
          break
        case 'rejected': {
          const counts = this.#count(output.typeUrl)
          counts.rejected++
          const message = output.message.slice(0, longestText)
          counts.lastRejection = { at: new Date().toISOString(), message }
          this.#observer.rejected(output.typeUrl)
          this.#log.warn('a client rejected configuration; the resources named keep their last good form there', {
            client: this.id,
            type: output.typeUrl,
            reason: message,
          })
        }
      }
    }
  }

  #count(typeUrl: string): Counts {
    let counts = this.#counts.get(typeUrl)
    if (counts === undefined) {
      counts = { sent: 0, acknowledged: 0, rejected: 0 }
      this.#counts.set(typeUrl, counts)
    }
    return counts
  }
}
