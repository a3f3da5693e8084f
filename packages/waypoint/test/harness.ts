// A waypoint in this process, in gateway mode on free ports of the loopback, with backends that are plain servers here.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { MeshState } from '@wishbone/core/mesh'
import { l7, workload } from '@wishbone/proto'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics, type Metrics } from '@wishbone/runtime/metrics'
import { ResourceStore } from '../src/state/store.ts'
import { Waypoint, type WaypointOptions } from '../src/waypoint.ts'

export type RouteInit = MessageInitShape<typeof l7.RouteSchema>

export interface World {
  readonly waypoint: Waypoint
  readonly store: ResourceStore
  readonly state: MeshState
  readonly metrics: Metrics
  readonly accessLog: Record<string, unknown>[]
  readonly log: string[]
  readonly port: number
  /** One more endpoint of a service. */
  addEndpoint(service: string, port: number, name?: string): void
  setRoutes(routes: readonly RouteInit[]): Promise<void>
}

const listenerPort = 8080

/** Backends by service name: the ports of their endpoints on 127.0.0.1. */
export async function startWorld(
  backends: Readonly<Record<string, readonly number[]>>,
  routes: readonly RouteInit[],
  { listenerLater = false, ...options }: Partial<WaypointOptions> & { readonly listenerLater?: boolean } = {},
): Promise<World> {
  const state = new MeshState()
  const store = new ResourceStore()
  const metrics = createMetrics({ process: false })
  const accessLog: Record<string, unknown>[] = []
  const lines: string[] = []
  const log = createLogger({
    program: 'waypoint',
    level: 'debug',
    sink: { write: (text) => void lines.push(text), flush() {}, dropped: 0 },
  })
  for (const [service, ports] of Object.entries(backends)) {
    state.apply({ addresses: [[`shop/${hostname(service)}`, serviceAddress(service)]], removed: [] })
    for (const [index, port] of ports.entries()) addEndpoint(state, service, port, `${service}-${index}`)
  }
  const listener = create(l7.ListenerSchema, {
    name: 'gateway/shop/gw/http',
    protocol: l7.Protocol.HTTP,
    bound: { case: 'gateway', value: { port: listenerPort, hostname: '' } },
    hasRoutes: true,
  })
  const giveListener = () => store.apply('listeners', [[listener.name, listener]], [])
  if (!listenerLater) giveListener()
  store.apply('routes', routes.map(route), [])
  store.flush()
  const waypoint = await Waypoint.start({
    state,
    store,
    log,
    metrics,
    accessLog: { write: (text) => void accessLog.push(JSON.parse(text)) },
    mesh: undefined,
    host: '127.0.0.1',
    bindPort: () => 0,
    ...options,
  })
  if (listenerLater) giveListener()
  await waypoint.settled()
  return {
    waypoint,
    store,
    state,
    metrics,
    accessLog,
    log: lines,
    port: waypoint.gateway.boundPort(listenerPort)!,
    addEndpoint: (service, port, name) => addEndpoint(state, service, port, name ?? `${service}-${port}`),
    async setRoutes(next) {
      const names = new Set(next.map(({ name }) => name))
      const old = [...store.resources.routes.keys()].filter((name) => !names.has(name))
      store.apply('routes', next.map(route), old)
      await waypoint.settled()
    },
  }
}

let routeCount = 0

/** Fills in what most routes have alike: the parent, a name. */
export function route(init: RouteInit): readonly [string, l7.Route] {
  const name = init.name ?? `HTTPRoute/shop/route-${++routeCount}/0`
  const message = create(l7.RouteSchema, {
    parents: [{ listener: 'gateway/shop/gw/http', hostnames: [] }],
    ...init,
    name,
  } as RouteInit)
  return [name, message]
}

export function to(
  service: string,
  weight = 1,
  protocol: l7.Protocol = l7.Protocol.HTTP,
  filters: MessageInitShape<typeof l7.FilterSchema>[] = [],
): MessageInitShape<typeof l7.WeightedBackendSchema> {
  return { weight, backend: backend(service, protocol), filters }
}

export function backend(
  service: string,
  protocol: l7.Protocol = l7.Protocol.HTTP,
): MessageInitShape<typeof l7.BackendSchema> {
  return { target: { case: 'service', value: { namespace: 'shop', hostname: hostname(service), port: 80, protocol } } }
}

export function seconds(ms: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 }
}

export function hostname(service: string): string {
  return `${service}.shop.svc.cluster.local`
}

function serviceAddress(service: string): workload.Address {
  return create(workload.AddressSchema, {
    type: {
      case: 'service',
      value: {
        name: service,
        namespace: 'shop',
        hostname: hostname(service),
        ports: [{ servicePort: 80, targetPort: 0 }],
      },
    },
  })
}

function addEndpoint(state: MeshState, service: string, port: number, name: string): void {
  const uid = `Kubernetes//Pod/shop/${name}`
  const address = create(workload.AddressSchema, {
    type: {
      case: 'workload',
      value: {
        uid,
        name,
        namespace: 'shop',
        workloadName: service,
        canonicalName: service,
        addresses: [new Uint8Array([127, 0, 0, 1])],
        networkMode: workload.NetworkMode.HOST_NETWORK,
        services: { [`shop/${hostname(service)}`]: { ports: [{ servicePort: 80, targetPort: port }] } },
      },
    },
  })
  state.apply({ addresses: [[uid, address]], removed: [] })
}
