// The waypoint or gateway as one object: what it is told (state and resources), where it accepts, how it ends.
// Lifecycle: created → started (ports open as the table says) → draining (no new connections; GOAWAY; open requests go on)
// → closed.

import { MeshError } from '@wishbone/core/errors'
import { baggageOf, formatBaggage } from '@wishbone/core/hbone'
import type { MeshState, Workload } from '@wishbone/core/mesh'
import { ports } from '@wishbone/core/names'
import type { WorkloadCertificate } from '@wishbone/runtime/certificates'
import { HbonePool } from '@wishbone/runtime/hbone'
import { delay } from '@wishbone/runtime/lifecycle'
import type { Logger } from '@wishbone/runtime/log'
import type { Metrics } from '@wishbone/runtime/metrics'
import type { FastifyInstance } from 'fastify'
import { createDialler, type OpenTunnel } from './forward/dial.ts'
import { Endpoints } from './forward/endpoints.ts'
import { Forwarder } from './forward/forwarder.ts'
import { createOpenTunnel } from './forward/tunnel.ts'
import { Passthrough } from './l4/passthrough.ts'
import { Authorizer } from './pipeline/authorize.ts'
import type { PipelineServices } from './pipeline/services.ts'
import { createAccessLog, type WritesLines } from './report/access-log.ts'
import { createHttpMetrics } from './report/metrics.ts'
import { createTcpMetrics } from './report/tcp.ts'
import { createUdpMetrics } from './report/udp.ts'
import { createAcceptor } from './server/accept.ts'
import { type App, createApp } from './server/app.ts'
import { Certificates } from './server/certificates.ts'
import { type Front, Gateway } from './server/gateway.ts'
import { createRefusalCounter, defaultLimits, type Limits } from './server/limits.ts'
import { openPort } from './server/low-ports.ts'
import { MeshServer } from './server/mesh.ts'
import type { ResourceStore } from './state/store.ts'

const connectTimeoutMs = 5_000
const drainPollMs = 20
/** A proxy that nobody has come to for so long has few clients that could be late. */
const idleAfterMs = 10_000
/** Nobody comes any more when nobody has come for so long. */
const quietMs = 1_000
const lingerLimitMs = 30_000
const lookMs = 50

export interface WaypointOptions {
  readonly state: MeshState
  readonly store: ResourceStore
  readonly log: Logger
  readonly metrics: Metrics
  /** Undefined: no access log. */
  readonly accessLog: WritesLines | undefined
  /** Undefined: no part in the mesh's tunnels, neither in nor out. */
  readonly mesh:
    | {
        readonly certificate: () => Promise<WorkloadCertificate>
        readonly trustDomain: string
        /** To accept tunnels on. */
        readonly port: number
        /** Where that is another one than for the rest. */
        readonly host?: string
        /** Where others accept them; 15008 outside of tests. */
        readonly tunnelPort?: number
        readonly network: string
        readonly self: () => Workload | undefined
      }
    | undefined
  /** Addresses to accept on: "::" for all of both families. */
  readonly host: string
  /** Added to ports below 1024. */
  readonly portOffset?: number
  readonly bindPort?: (port: number) => number
  readonly limits?: Limits
  /** What stands in front of a gateway; nothing when absent. */
  readonly front?: Front
  readonly trace?: PipelineServices['trace']
  readonly plugins?: (app: FastifyInstance) => Promise<void>
  readonly random?: () => number
}

export class Waypoint {
  readonly #options: WaypointOptions
  readonly #pool: HbonePool
  readonly #forwarder: Forwarder
  readonly #passthrough: Passthrough
  readonly #app: App
  readonly gateway: Gateway
  readonly #mesh: MeshServer | undefined
  readonly #draining: { current: boolean }
  #meshPort: number | undefined
  #reconciling: Promise<void> = Promise.resolve()

  private constructor(
    options: WaypointOptions,
    parts: Pick<Waypoint, 'gateway'> & {
      pool: HbonePool
      forwarder: Forwarder
      passthrough: Passthrough
      app: App
      mesh: MeshServer | undefined
      draining: { current: boolean }
    },
  ) {
    this.#options = options
    this.#pool = parts.pool
    this.#forwarder = parts.forwarder
    this.#passthrough = parts.passthrough
    this.#app = parts.app
    this.gateway = parts.gateway
    this.#mesh = parts.mesh
    this.#draining = parts.draining
  }

  /** Opens the ports. Rejects when the tunnel port cannot be had, or a plugin fails. */
  static async start(options: WaypointOptions): Promise<Waypoint> {
    const { state, store, log, metrics, mesh, host } = options
    const random = options.random ?? Math.random
    const now = () => performance.now()
    const table = () => store.table
    // What the controller gives it decides, perhaps only later: listeners may be mended after the start. Once a gateway it stays one,
    // without listeners too: requests that are still open must not pass by a waypoint then.
    let hasServed = false
    const isGateway = () => (hasServed ||= table().ports.size + table().udpPorts.size > 0)
    const draining = { current: false }
    store.flush()
    isGateway()
    const pool = new HbonePool({ log })
    const self = () => mesh?.self()
    const endpoints = new Endpoints({
      state,
      self,
      random,
      now,
      throughWaypoints: isGateway,
      tunnelPort: mesh?.tunnelPort ?? ports.hbone,
    })
    const certificates = new Certificates((name) => store.certificate(name), log)
    const dial = createDialler({
      openTunnel: openTunnelOf(options, pool),
      connectTimeoutMs,
      clientPair: () => certificates.clientPair(table().backendClientCertificate),
    })
    const forwarder = new Forwarder(dial, now)
    const authorizer = new Authorizer(state, store)
    const reporter = () => (isGateway() ? 'source' : 'waypoint')
    const httpMetrics = createHttpMetrics(metrics, reporter)
    const accessLog = options.accessLog === undefined ? undefined : createAccessLog(options.accessLog)
    const limits = options.limits ?? defaultLimits
    const refused = createRefusalCounter(metrics)
    const services: PipelineServices = {
      endpoints,
      forwarder,
      dial,
      authorizer,
      random,
      now,
      log,
      stallTimeoutMs: limits.stallTimeoutMs,
      refused,
      trace: options.trace,
      report(record) {
        httpMetrics.record(record)
        accessLog?.(record)
      },
    }
    const app = await createApp({
      table,
      services,
      log,
      isDraining: () => draining.current,
      limits,
      refused,
      ...(options.plugins === undefined ? {} : { plugins: options.plugins }),
    })
    const tcpMetrics = createTcpMetrics(metrics, reporter, log.child({ scope: 'access' }))
    const passthrough = new Passthrough({ endpoints, dial, authorizer, random, metrics: tcpMetrics, log })
    const accept = createAcceptor({ app, passthrough, log, refused, clientFirstMs: limits.headersTimeoutMs })
    const { portOffset = 0 } = options
    const bindPort = options.bindPort ?? ((port: number) => openPort(port, portOffset))
    const gateway = new Gateway({
      table,
      accept,
      authorizer,
      maxConnections: limits.maxConnections,
      refused,
      front: options.front ?? { trustedHops: 0, proxyProtocol: () => false },
      certificates,
      host,
      bindPort,
      portOffset,
      log,
      udp: { metrics: createUdpMetrics(metrics), random, now },
    })
    const meshServer = mesh === undefined ? undefined : new MeshServer({ host, table, state, accept, log, ...mesh })
    const waypoint = new Waypoint(options, { pool, forwarder, passthrough, app, gateway, mesh: meshServer, draining })
    waypoint.#meshPort = await meshServer?.listen()
    let known: ReadonlySet<string> = new Set()
    store.onChange(({ problems }) => {
      const current = new Map(problems.map((problem) => [`${problem.resource}: ${problem.reason}`, problem]))
      for (const [key, problem] of current) if (!known.has(key)) log.warn('a resource is not in force', { ...problem })
      known = new Set(current.keys())
      const wasGateway = hasServed
      // Gateways choose endpoints in another way than waypoints.
      if (isGateway() !== wasGateway) endpoints.invalidate()
      waypoint.#reconcile()
    })
    waypoint.#reconcile()
    await waypoint.#reconciling
    return waypoint
  }

  get meshPort(): number | undefined {
    return this.#meshPort
  }

  /** Waits until the ports are those of the table. */
  async settled(): Promise<void> {
    this.#options.store.flush()
    await this.#reconciling
  }

  /** What readiness waits for. */
  pending(): readonly string[] {
    if (this.#draining.current) return ['the end: this proxy is draining']
    return [...this.gateway.failed].map(([port, reason]) => `port ${port}: ${reason}`)
  }

  /** Open requests and connections. */
  get active(): number {
    return this.#app.active + this.#passthrough.active
  }

  get fastify(): FastifyInstance {
    return this.#app.fastify
  }

  tunnels(): ReturnType<HbonePool['dump']> {
    return this.#pool.dump()
  }

  /**
   * Goes on accepting for `lingerMs` (half of it when nobody came lately), and longer while somebody still comes, for clients hear
   * of its end only after it does, but not at all when it has nothing to serve; then accepts nothing new and lets what is open finish. After `limitMs` in all everything is closed.
   */
  async drain(limitMs: number, lingerMs = 0): Promise<void> {
    this.#draining.current = true
    const until = performance.now() + limitMs
    this.#app.leave()
    const minimumMs = this.#isIdle() ? lingerMs / 2 : lingerMs
    if (lingerMs > 0) await this.#linger(Math.min(minimumMs, limitMs / 2), Math.min(lingerLimitMs, limitMs / 2))
    this.gateway.close()
    const meshDrained = this.#mesh?.drain()
    this.#app.drain()
    while (this.active > 0 && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, drainPollMs))
    // What was answered last may still be on its way.
    this.#app.drain()
    if (meshDrained !== undefined)
      await Promise.race([meshDrained, new Promise((resolve) => setTimeout(resolve, Math.min(1_000, limitMs)).unref())])
    await this.close()
  }

  #isIdle(): boolean {
    const last = Math.max(this.gateway.lastArrivalMs, this.#mesh?.lastArrivalMs ?? 0)
    return this.active === 0 && (last === 0 || performance.now() - last > idleAfterMs)
  }

  async #linger(minimumMs: number, maximumMs: number): Promise<void> {
    const arrivals = () => this.gateway.arrivals + (this.#mesh?.arrivals ?? 0)
    const began = performance.now()
    await this.#waitInUse(Math.max(0, minimumMs - quietMs))
    while (this.#isInUse() && performance.now() - began < maximumMs) {
      const before = arrivals()
      await this.#waitInUse(quietMs)
      if (arrivals() === before) return
    }
  }

  /** The controller takes all listeners away from a proxy whose Gateway is gone. */
  #isInUse(): boolean {
    return this.#options.store.table.listeners.size > 0
  }

  async #waitInUse(ms: number): Promise<void> {
    const until = performance.now() + ms
    while (this.#isInUse() && performance.now() < until) await delay(Math.min(lookMs, until - performance.now()))
  }

  async close(): Promise<void> {
    this.#draining.current = true
    const reason = new MeshError('draining', 'the proxy stops')
    this.#passthrough.close(reason)
    this.#mesh?.close(reason)
    await this.#app.close()
    this.gateway.destroy()
    await this.#forwarder.close()
    this.#pool.close(reason)
  }

  #reconcile(): void {
    if (this.#draining.current) return
    this.#reconciling = this.#reconciling.then(() => (this.#draining.current ? undefined : this.gateway.reconcile()))
  }
}

function openTunnelOf({ mesh }: WaypointOptions, pool: HbonePool): OpenTunnel {
  if (mesh === undefined)
    return async ({ label }) => {
      throw new MeshError(
        'certificate-unavailable',
        `${label} is reached by a tunnel only, and this proxy has no certificate`,
      )
    }
  const baggage = () => {
    const self = mesh.self()
    return self === undefined ? '' : formatBaggage(baggageOf(self))
  }
  return createOpenTunnel({ pool, certificate: mesh.certificate, connectTimeoutMs, baggage })
}
