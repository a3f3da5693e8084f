// The resources that the controller sent, and the table compiled from them. A table is replaced as a whole, once for all
// changes of one turn of the event loop; requests that run keep the one they began with.
import type { l7 } from '@wishbone/proto'
import { compile, type RouteTable } from '../compile/index.ts'

interface Maps {
  readonly listeners: Map<string, l7.Listener>
  readonly routes: Map<string, l7.Route>
  readonly tcpRoutes: Map<string, l7.TcpRoute>
  readonly udpRoutes: Map<string, l7.UdpRoute>
  readonly certificates: Map<string, l7.Certificate>
  readonly requestPolicies: Map<string, l7.RequestPolicy>
}

type KindOfResource = keyof Maps

export class ResourceStore {
  readonly #maps: Maps = {
    listeners: new Map(),
    routes: new Map(),
    tcpRoutes: new Map(),
    udpRoutes: new Map(),
    certificates: new Map(),
    requestPolicies: new Map(),
  }
  readonly #subscribers = new Set<(table: RouteTable) => void>()
  #table: RouteTable = compile(this.#maps)
  #pending = false

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

  /** Takes resources of one kind in and out; the table follows at the end of this turn. */
  apply<K extends KindOfResource>(
    kind: K,
    upserts: Iterable<readonly [name: string, resource: Maps[K] extends Map<string, infer R> ? R : never]>,
    removed: Iterable<string>,
  ): void {
    const map = this.#maps[kind] as Map<string, unknown>
    for (const name of removed) map.delete(name)
    for (const [name, resource] of upserts) map.set(name, resource)
    if (this.#pending) return
    this.#pending = true
    queueMicrotask(() => this.flush())
  }

  /** Compiles now what is waiting. */
  flush(): void {
    if (!this.#pending) return
    this.#pending = false
    this.#table = compile(this.#maps, this.#table)
    for (const subscriber of this.#subscribers) subscriber(this.#table)
  }

  onChange(subscriber: (table: RouteTable) => void): () => void {
    this.#subscribers.add(subscriber)
    return () => void this.#subscribers.delete(subscriber)
  }
}
