// The configuration as a table, kept up with changes: a change costs what it changes, and not what there is. The order of the
// resources does not matter. Lifecycle: update() as often as something changes, each driven to its end before the next begins.
import type { l7 } from '@wishbone/proto'
import { Attached, type AttachedRoutes } from './attached.ts'
import { buildPorts } from './gateway.ts'
import { listenerTable } from './listener.ts'
import { type Attachment, attachmentsOf, tcpAttachmentsOf } from './rule.ts'
import type { ListenerTable, Problem, RouteTable, Rule, TcpRule } from './types.ts'
import { buildUdpPorts } from './udp.ts'

/** By resource name; undefined: it is gone. */
type Changed<R> = ReadonlyMap<string, R | undefined>

export interface ResourceChanges {
  readonly listeners: Changed<l7.Listener>
  readonly routes: Changed<l7.Route>
  readonly tcpRoutes: Changed<l7.TcpRoute>
  readonly udpRoutes: Changed<l7.UdpRoute>
}

/** Listeners that left, that came (those that changed did both), and all that there are now. */
interface Moved {
  readonly gone: readonly ListenerTable[]
  readonly come: readonly ListenerTable[]
  readonly listeners: ReadonlyMap<string, ListenerTable>
}

interface Exchange<T> {
  readonly gone: readonly Attachment<T>[] | undefined
  readonly come: readonly Attachment<T>[] | undefined
}

const empty: RouteTable = {
  listeners: new Map(),
  services: new Map(),
  workloads: new Map(),
  ports: new Map(),
  udpPorts: new Map(),
  backendClientCertificate: '',
  problems: [],
}

export class Compiler {
  readonly #listeners = new Map<string, l7.Listener>()
  readonly #routes = new Map<string, readonly Attachment<Rule>[]>()
  readonly #tcpRoutes = new Map<string, readonly Attachment<TcpRule>[]>()
  readonly #udpRoutes = new Map<string, l7.UdpRoute>()
  readonly #attached = new Map<string, Attached>()
  /** By resource name. */
  readonly #problems = new Map<string, readonly Problem[]>()
  #portProblems: Problem[] = []
  #table = empty

  get table(): RouteTable {
    return this.#table
  }

  /**
   * The table after the changes. It yields where other work may come between; until it has ended nothing shows of the changes. What
   * cannot be used is left out and named in `problems`.
   */
  *update(changes: ResourceChanges): Generator<void, RouteTable> {
    const touched = new Set(changes.listeners.keys())
    for (const [name, route] of changes.routes) {
      this.#setRoute(name, route, touched)
      yield
    }
    for (const [name, route] of changes.tcpRoutes) {
      this.#setTcpRoute(name, route, touched)
      yield
    }
    for (const [name, route] of changes.udpRoutes) put(this.#udpRoutes, name, route)
    for (const [name, listener] of changes.listeners) put(this.#listeners, name, listener)
    const before = this.#table
    const listeners = new Map(before.listeners)
    for (const name of touched) {
      const table = this.#listenerTable(name)
      if (table === undefined) listeners.delete(name)
      else listeners.set(name, table)
      yield
    }
    return (this.#table = this.#tableOf(before, listeners, { changes, touched }))
  }

  #setRoute(name: string, route: l7.Route | undefined, touched: Set<string>): void {
    const problems: Problem[] = []
    const come = route && attachmentsOf(route, (reason) => problems.push({ resource: name, reason }))
    this.#attach(({ http }) => http, { gone: this.#routes.get(name), come, touched })
    put(this.#routes, name, come)
    this.#report(name, problems)
  }

  #setTcpRoute(name: string, route: l7.TcpRoute | undefined, touched: Set<string>): void {
    const come = route && tcpAttachmentsOf(route)
    this.#attach(({ tcp }) => tcp, { gone: this.#tcpRoutes.get(name), come, touched })
    put(this.#tcpRoutes, name, come)
  }

  #attach<T>(
    routes: (listener: Attached) => AttachedRoutes<T>,
    { gone, come, touched }: Exchange<T> & { readonly touched: Set<string> },
  ): void {
    for (const { listener, namespace, entries } of gone ?? []) {
      routes(this.#attachedOf(listener)).remove(namespace, entries)
      touched.add(listener)
    }
    for (const { listener, namespace, entries } of come ?? []) {
      routes(this.#attachedOf(listener)).add(namespace, entries)
      touched.add(listener)
    }
  }

  #listenerTable(name: string): ListenerTable | undefined {
    const listener = this.#listeners.get(name)
    const attached = this.#attached.get(name)
    if (attached?.isEmpty) this.#attached.delete(name)
    const table = listener && listenerTable(listener, attached)
    const isLost = listener !== undefined && table === undefined
    const reason = 'what the listener is bound to, or its protocol, is nothing that this version knows'
    this.#report(name, isLost ? [{ resource: name, reason }] : [])
    return table
  }

  #tableOf(
    before: RouteTable,
    listeners: ReadonlyMap<string, ListenerTable>,
    { changes, touched }: { readonly changes: ResourceChanges; readonly touched: ReadonlySet<string> },
  ): RouteTable {
    const gone = [...touched].flatMap((name) => before.listeners.get(name) ?? [])
    const come = [...touched].flatMap((name) => listeners.get(name) ?? [])
    const moved = { gone, come, listeners }
    const problems = [...this.#problems.values()].flat()
    const changesPorts = [...gone, ...come].some(({ bound }) => bound.kind === 'gateway')
    // What listeners on one port disagree about is found each time that ports are made.
    if (changesPorts) this.#portProblems = []
    const ports = changesPorts
      ? buildPorts(listeners.values(), (resource, reason) => this.#portProblems.push({ resource, reason }))
      : before.ports
    const changesUdp = changes.udpRoutes.size + changes.listeners.size > 0
    return {
      listeners,
      services: indexed(before.services, moved, ({ bound }) =>
        bound.kind === 'service' ? `${bound.hostname}:${bound.port}` : undefined,
      ),
      workloads: indexed(before.workloads, moved, ({ bound }) => (bound.kind === 'workload' ? bound.uid : undefined)),
      ports,
      udpPorts: changesUdp ? buildUdpPorts(listeners.values(), this.#udpRoutes.values()) : before.udpPorts,
      backendClientCertificate:
        changes.listeners.size > 0 ? certificateOf(this.#listeners.values()) : before.backendClientCertificate,
      problems: [...problems, ...this.#portProblems],
    }
  }

  #attachedOf(listener: string): Attached {
    let attached = this.#attached.get(listener)
    if (attached === undefined) this.#attached.set(listener, (attached = new Attached()))
    return attached
  }

  #report(resource: string, problems: readonly Problem[]): void {
    if (problems.length > 0) this.#problems.set(resource, problems)
    else this.#problems.delete(resource)
  }
}

function put<R>(map: Map<string, R>, name: string, resource: R | undefined): void {
  if (resource === undefined) map.delete(name)
  else map.set(name, resource)
}

/**
 * `before` without those that are gone, and with those that have come; itself when neither has a key. Of several with one key the first
 * by name has it, whatever the order in which they came, and the next one when that is gone.
 */
function indexed(
  before: ReadonlyMap<string, ListenerTable>,
  { gone, come, listeners }: Moved,
  keyOf: (table: ListenerTable) => string | undefined,
): ReadonlyMap<string, ListenerTable> {
  const keyed = (tables: readonly ListenerTable[]) => tables.filter((table) => keyOf(table) !== undefined)
  const [left, entered] = [keyed(gone), keyed(come)]
  if (left.length + entered.length === 0) return before
  const index = new Map(before)
  const kept = new Set(entered.map((table) => `${keyOf(table)} ${table.name}`))
  let isOpen = false
  for (const table of left) {
    const key = keyOf(table)!
    if (index.get(key)?.name !== table.name) continue
    index.delete(key)
    isOpen ||= !kept.has(`${key} ${table.name}`)
  }
  for (const table of isOpen ? listeners.values() : entered) {
    const key = keyOf(table)
    if (key === undefined) continue
    const known = index.get(key)
    if (known === undefined || table.name <= known.name) index.set(key, table)
  }
  return index
}

/** The first that there is: it is the same on all listeners of a gateway. */
function certificateOf(listeners: Iterable<l7.Listener>): string {
  for (const { backendClientCertificate } of listeners)
    if (backendClientCertificate !== '') return backendClientCertificate
  return ''
}
