// The client's side of delta xDS on one stream after another. Lifecycle: connect() starts a stream and says what to
// send first; received() is called once for every response, after its resources were applied; a lost stream needs no
// call, for connect() begins the next one with the versions that are held.
import type { DeltaRequest } from './types.ts'

export interface ClientType {
  readonly typeUrl: string
  /** Wildcard: everything there is. On demand: the names subscribed to. */
  readonly mode: 'wildcard' | 'on-demand'
}

interface TypeState {
  readonly mode: 'wildcard' | 'on-demand'
  readonly versions: Map<string, string>
  readonly names: Set<string>
  answered: boolean
}

/** A NACK is for people: one that names a whole mesh would be longer than a server takes, and end the stream each time. */
const maxTold = 100
const maxErrorLength = 100_000

const noNames: readonly string[] = []
const noVersions: ReadonlyMap<string, string> = new Map()

export class ClientSession {
  readonly #types = new Map<string, TypeState>()

  constructor(types: readonly ClientType[]) {
    for (const { typeUrl, mode } of types)
      this.#types.set(typeUrl, { mode, versions: new Map(), names: new Set(), answered: false })
  }

  /** The first requests of a new stream, one for each type, in the order of the constructor. */
  connect(): readonly DeltaRequest[] {
    return [...this.#types].map(([typeUrl, type]) => ({
      typeUrl,
      subscribe: type.mode === 'wildcard' ? noNames : ['*', ...type.names],
      // Subscribing to and leaving "*" at once says: on demand, even with no name yet.
      unsubscribe: type.mode === 'wildcard' ? noNames : ['*'],
      initialVersions: new Map(type.versions),
      nonce: '',
    }))
  }

  /** The request that adds names to an on-demand type; undefined when nothing has to be sent. */
  subscribe(typeUrl: string, names: readonly string[]): DeltaRequest | undefined {
    const type = this.#types.get(typeUrl)
    const added = type?.mode === 'on-demand' ? [...new Set(names)].filter((name) => !type.names.has(name)) : []
    for (const name of added) type!.names.add(name)
    return added.length === 0 ? undefined : request(typeUrl, added, noNames)
  }

  /** The request that gives names of an on-demand type up. */
  unsubscribe(typeUrl: string, names: readonly string[]): DeltaRequest | undefined {
    const type = this.#types.get(typeUrl)
    const dropped = names.filter((name) => type?.names.delete(name))
    for (const name of dropped) type!.versions.delete(name)
    return dropped.length === 0 ? undefined : request(typeUrl, noNames, dropped)
  }

  /**
   * The answer to a response: an ACK, or a NACK that names what was not taken. A response is applied in part: what was
   * rejected counts as a version that nobody has, so that the next stream brings it again, or says that it is gone. Unknown
   * types are acknowledged.
   */
  received(response: {
    readonly typeUrl: string
    readonly nonce: string
    readonly resources: readonly (readonly [name: string, version: string])[]
    readonly removed: readonly string[]
    readonly rejected: readonly { readonly name: string; readonly reason: string }[]
  }): DeltaRequest {
    const { typeUrl, nonce, rejected } = response
    const type = this.#types.get(typeUrl)
    if (type !== undefined) {
      for (const name of response.removed) type.versions.delete(name)
      for (const [name, version] of response.resources) type.versions.set(name, version)
      // Of what was rejected an older form may be held, or a stand-in, and what is not named would never be taken back.
      for (const { name } of rejected) if (type.versions.has(name)) type.versions.set(name, '')
      type.answered = true
    }
    const answer = { ...request(typeUrl, noNames, noNames), nonce }
    if (rejected.length === 0) return answer
    const told = rejected.slice(0, maxTold).map(({ name, reason }) => `${name}: ${reason}`)
    if (rejected.length > maxTold) told.push(`and ${rejected.length - maxTold} more`)
    return { ...answer, error: told.join('; ').slice(0, maxErrorLength) }
  }

  /** Wildcard types that have had no response yet, ever. Empty: the client is ready. */
  get pending(): readonly string[] {
    return [...this.#types].filter(([, type]) => type.mode === 'wildcard' && !type.answered).map(([typeUrl]) => typeUrl)
  }

  get ready(): boolean {
    return this.pending.length === 0
  }

  /** Names held of a type, with their versions. */
  versionsOf(typeUrl: string): ReadonlyMap<string, string> {
    return this.#types.get(typeUrl)?.versions ?? noVersions
  }
}

function request(typeUrl: string, subscribe: readonly string[], unsubscribe: readonly string[]): DeltaRequest {
  return { typeUrl, subscribe, unsubscribe, initialVersions: noVersions, nonce: '' }
}
