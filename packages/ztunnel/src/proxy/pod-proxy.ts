// The proxy of one pod. States: starting → serving → draining → closed.
// It owns the namespace's descriptor, the listeners in it, the pool of tunnels and every connection it carries.
import type { Socket } from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { formatSpiffe } from '@wishbone/core/identity'
import type { Workload } from '@wishbone/core/mesh'
import { clientNameTable, ports } from '@wishbone/core/names'
import { HbonePool, type HboneServerSession } from '@wishbone/runtime/hbone'
import { closeFd, hasTable, inodeOf } from '@wishbone/runtime/os'
import { Handshakes } from '@wishbone/runtime/tls'
import { authorizeInbound } from '../decide/index.ts'
import { type DnsListeners, listenDns } from '../dns/listen.ts'
import type { Connection } from '../report/connection.ts'
import type { ProxyContext } from './context.ts'
import { serveHbone } from './inbound-hbone.ts'
import { servePlaintext } from './inbound-plaintext.ts'
import { listenWildcard, type PodListener } from './listeners.ts'
import { serveOutbound } from './outbound.ts'
import type { Judged, PodScope } from './scope.ts'
import { waitForState } from './wait.ts'

export interface PodInfo {
  /** The pod's UID. */
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}

export class PodProxy implements PodScope {
  readonly info: PodInfo
  readonly context: ProxyContext
  readonly #nsFd: number
  readonly inode: bigint
  readonly identity: string
  readonly pool: HbonePool
  readonly handshakes = new Handshakes()
  readonly #listeners: PodListener[] = []
  readonly #connections = new Map<Connection, Judged | undefined>()
  readonly #sessions = new Set<HboneServerSession>()
  /** Handlers of accepted connections that have not ended. */
  readonly #serving = new Set<Promise<void>>()
  readonly #abort = new AbortController()
  #dns: DnsListeners | undefined
  #tracksApart: boolean | undefined
  #drained: Promise<void> | undefined
  #state: 'starting' | 'serving' | 'draining' | 'closed' = 'starting'

  /** Takes `nsFd` over. */
  constructor(context: ProxyContext, info: PodInfo, nsFd: number) {
    this.info = info
    this.#nsFd = nsFd
    this.inode = inodeOf(nsFd)
    const { trustDomain } = context.settings
    this.identity = formatSpiffe({
      trustDomain,
      namespace: info.namespace,
      serviceAccount: info.serviceAccount || 'default',
    })
    this.context = { ...context, log: context.log.child({ pod: `${info.namespace}/${info.name}` }) }
    this.pool = new HbonePool({ log: this.context.log })
  }

  /** Throws MeshError draining once the proxy is closed: the number may belong to another file by then. */
  get nsFd(): number {
    if (this.#state === 'closed') throw new MeshError('draining', 'the proxy of this pod is closed')
    return this.#nsFd
  }

  get state(): string {
    return this.#state
  }

  get draining(): boolean {
    return this.#state === 'draining' || this.#state === 'closed'
  }

  get tracksApart(): boolean {
    // Asked for only when a connection was captured: then the rules are there.
    this.#tracksApart ??= hasTable(this.nsFd, 'inet', clientNameTable)
    return this.#tracksApart
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Nothing is being carried, and nothing that was accepted waits for it. */
  get idle(): boolean {
    return this.#connections.size === 0 && this.#serving.size === 0
  }

  get connections(): Iterable<Connection> {
    return this.#connections.keys()
  }

  /** Opens the listeners. When it settles, the pod may be captured. Rejects with the reason when a listener can't be had. */
  async start(): Promise<void> {
    const { ipv6, dns } = this.context.settings
    this.context.certificates.prefetch(this.identity)
    const handlers = [
      [ports.outbound, serveOutbound],
      [ports.inboundPlaintext, servePlaintext],
      [ports.hbone, serveHbone],
    ] as const
    try {
      for (const [port, serve] of handlers) {
        this.#listeners.push(await listenWildcard(this.nsFd, port, ipv6, (socket) => this.#serve(serve, socket)))
        this.#throwIfStopped()
      }
      if (dns) {
        this.#dns = await listenDns(this, ipv6)
        this.#throwIfStopped()
      }
    } catch (cause) {
      // While it drains, what was accepted already is served to its end.
      if (!this.draining)
        await this.close(new MeshError('internal', 'the proxy of this pod could not start', { cause }))
      throw cause
    }
    this.#state = 'serving'
  }

  async workload(): Promise<Workload> {
    const { state, settings } = this.context
    const found = await waitForState(state, settings.workloadWaitMs, this.signal, () => this.knownWorkload())
    if (found !== undefined) return found
    throw new MeshError(
      'workload-unknown',
      `the workload of pod ${this.info.namespace}/${this.info.name} is not known`,
      {
        hint: 'is the controller reachable, and does the pod have an IP address in its status?',
      },
    )
  }

  add(connection: Connection, judged?: Judged): void {
    this.#connections.set(connection, judged)
    if (this.#state === 'closed') connection.close(new MeshError('draining', 'the proxy of this pod is closed'))
  }

  remove(connection: Connection): void {
    this.#connections.delete(connection)
  }

  addSession(session: HboneServerSession): void {
    this.#sessions.add(session)
    void session.closed.then(() => this.#sessions.delete(session))
  }

  /** Judges every live inbound connection by the policies as they are now, and closes those that fail. */
  judge(): void {
    for (const [connection, judged] of this.#connections) {
      if (judged === undefined) continue
      const local = this.context.state.workloadByUid(judged.facts.local.uid) ?? judged.facts.local
      const verdict = authorizeInbound(this.context.state, { ...judged.facts, local }, judged.port)
      // Missing policies close nothing: this is called again when they come.
      if (verdict.kind === 'reject' && verdict.code === 'denied')
        connection.close(new MeshError('denied', `policy change: ${verdict.message}`, { at: 'downstream' }))
    }
  }

  /**
   * Stops accepting and sends GOAWAY; settles when nothing is open any more. With a `successor`, a ztunnel that listens beside us,
   * that one gets everything new first, and what has come to us until then is served.
   */
  drain(successor = false): Promise<void> {
    if (this.#state !== 'closed') this.#drained ??= this.#drain(successor)
    return this.#drained ?? Promise.resolve()
  }

  async #drain(successor: boolean): Promise<void> {
    this.#state = 'draining'
    if (successor)
      await Promise.all([...this.#listeners, ...(this.#dns ? [this.#dns] : [])].map((one) => one.giveWay()))
    await this.#stopListening()
    for (const session of this.#sessions) void session.drain()
    while (this.#serving.size + this.#sessions.size > 0)
      await Promise.all([...this.#serving, ...[...this.#sessions].map(({ closed }) => closed)])
    // Not before: what was accepted last may need a tunnel yet.
    await this.pool.drain()
    await this.close(new MeshError('draining', 'the proxy of this pod has stopped'))
  }

  /** Sends GOAWAY and closes everything now. */
  async close(reason: MeshError): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await this.#stopListening()
    for (const connection of this.#connections.keys()) connection.close(reason)
    for (const session of this.#sessions) session.close(reason)
    this.handshakes.close(reason)
    this.pool.close(reason)
    this.#abort.abort(reason)
    closeFd(this.#nsFd)
  }

  knownWorkload(): Workload | undefined {
    const { name, namespace, serviceAccount } = this.info
    const wanted = serviceAccount || 'default'
    return this.context.state
      .workloadsByName(namespace, name)
      .find((workload) => (workload.serviceAccount || 'default') === wanted)
  }

  /** The handlers don't reject. If one does all the same, that is one connection's trouble and not the node's. */
  #serve(serve: (pod: PodScope, socket: Socket) => Promise<void>, socket: Socket): void {
    const served = serve(this, socket)
      .catch((cause: unknown) => {
        this.context.log.error('a fault while serving a connection', { error: MeshError.from(cause).describe() })
        socket.destroy()
      })
      .finally(() => this.#serving.delete(served))
    this.#serving.add(served)
  }

  /** A listener that was opened while the proxy was being stopped is nobody's: the next proxy's would stand behind it. */
  #throwIfStopped(): void {
    if (!this.draining) return
    void this.#stopListening()
    throw new MeshError('draining', 'the proxy of this pod was stopped while it started')
  }

  async #stopListening(): Promise<void> {
    // A closing server waits for the connections that it accepted: those are not waited for here.
    for (const listener of this.#listeners.splice(0)) void listener.close()
    this.#dns?.close()
    this.#dns = undefined
  }
}
