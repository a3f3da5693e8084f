// The resources that the controller sent, and the table compiled from them. A table is replaced as a whole, once for all
// changes of one turn of the event loop, or later when there are so many that they take several turns; requests that run keep the
// one they began with.
import type { l7 } from '@wishbone/proto'
import { type InTurnsOptions, inTurns, type Steps } from '@wishbone/runtime/lifecycle'
import { Compiler, type RouteTable } from '../compile/index.ts'

interface Resources {
  readonly listeners: l7.Listener
  readonly routes: l7.Route
  readonly tcpRoutes: l7.TcpRoute
  readonly udpRoutes: l7.UdpRoute
  readonly certificates: l7.Certificate
  readonly requestPolicies: l7.RequestPolicy
}

type KindOfResource = keyof Resources
type Maps = { readonly [K in KindOfResource]: Map<string, Resources[K]> }
/** Undefined: gone. */
type Changes = { readonly [K in KindOfResource]: Map<string, Resources[K] | undefined> }

export class ResourceStore {
  readonly #maps: Maps = noResources()
  readonly #subscribers = new Set<(table: RouteTable) => void>()
  readonly #compiler = new Compiler()
  readonly #turns: InTurnsOptions
  #table: RouteTable = this.#compiler.table
  #changes: Changes | undefined
  /** The work under way, or about to begin. */
  #work: { readonly steps: Steps<void>; readonly done: PromiseWithResolvers<void> } | undefined

  /** `turns`: of compiling. */
  constructor(turns: InTurnsOptions = {}) {
    this.#turns = turns
  }

  get table(): RouteTable {
    return this.#table
  }

  certificate(name: string): l7.Certificate | undefined {
    return this.#maps.certificates.get(name)
  }

  /** The form for requests of an AuthorizationPolicy; undefined: its Authorization is all there is. */
  requestPolicy(name: string): l7.RequestPolicy | undefined {
    return this.#maps.requestPolicies.get(name)
  }

  get certificates(): ReadonlyMap<string, l7.Certificate> {
    return this.#maps.certificates
  }

  get resources(): Readonly<Omit<Maps, 'certificates'>> {
    return this.#maps
  }

  /** Takes resources of one kind in and out. The table follows, at the end of this turn unless there is much to do. */
  apply<K extends KindOfResource>(
    kind: K,
    upserts: Iterable<readonly [name: string, resource: Resources[K]]>,
    removed: Iterable<string>,
  ): void {
    const map: Map<string, Resources[K]> = this.#maps[kind]
    const changes: Map<string, Resources[K] | undefined> = (this.#changes ??= noResources())[kind]
    for (const name of removed) {
      map.delete(name)
      changes.set(name, undefined)
    }
    for (const [name, resource] of upserts) {
      map.set(name, resource)
      changes.set(name, resource)
    }
    if (this.#work !== undefined) return
    const work = { steps: this.#compile(), done: Promise.withResolvers<void>() }
    this.#work = work
    queueMicrotask(() => void inTurns(work.steps, this.#turns))
  }

  /** Settles when all that was applied up to now is in force. */
  get settled(): Promise<void> {
    return this.#work?.done.promise ?? Promise.resolve()
  }

  /** Compiles now what is waiting. */
  flush(): void {
    for (const _ of this.#work?.steps ?? []);
  }

  onChange(subscriber: (table: RouteTable) => void): () => void {
    this.#subscribers.add(subscriber)
    return () => void this.#subscribers.delete(subscriber)
  }

  *#compile(): Steps<void> {
    try {
      while (this.#changes !== undefined) {
        const changes = this.#changes
        this.#changes = undefined
        this.#table = yield* this.#compiler.update(changes)
        for (const subscriber of this.#subscribers) subscriber(this.#table)
      }
    } finally {
      this.#work?.done.resolve()
      this.#work = undefined
    }
  }
}

function noResources() {
  const none = () => new Map<string, never>()
  return {
    listeners: none(),
    routes: none(),
    tcpRoutes: none(),
    udpRoutes: none(),
    certificates: none(),
    requestPolicies: none(),
  }
}
