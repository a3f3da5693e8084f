// From a backend of a route to one endpoint: the state of the mesh on one side, frozen pickers on the other.
import { addressOf, candidatesOf, targetPortOf } from '@wishbone/core/balancing'
import { MeshError } from '@wishbone/core/errors'
import { formatSpiffe } from '@wishbone/core/identity'
import { formatIp, formatSocketAddress, type IpBytes } from '@wishbone/core/ip'
import { type Endpoint, identityOf, type MeshState, type Service, type Workload } from '@wishbone/core/mesh'
import { createPicker, EndpointLoad, type Picker } from '@wishbone/core/picker'
import { workload as proto } from '@wishbone/proto'
import type { Protocol, Upstream, UpstreamTls } from '../compile/index.ts'
import type { Target } from './target.ts'

export interface EndpointsOptions {
  readonly state: MeshState
  /** True for gateways: their requests pass the waypoint of a Service that asks for it. */
  readonly throughWaypoints: () => boolean
  readonly self: () => Workload | undefined
  /** Where ztunnels and waypoints listen. */
  readonly tunnelPort: number
  readonly random: () => number
  readonly now: () => number
}

export class Endpoints {
  readonly #options: EndpointsOptions
  readonly #loads = new Map<string, EndpointLoad>()
  /** By the state's own array of endpoints, which is a new one after each change. */
  #pickers = new WeakMap<readonly Endpoint[], Map<Upstream, Picker<Target>>>()

  constructor(options: EndpointsOptions) {
    this.#options = options
    // Locality, waypoints and certificates' names may change without the array changing.
    options.state.onChange(({ kind }) => {
      if (kind === 'addresses') this.invalidate()
    })
  }

  /** Pickers are made anew with their next use. */
  invalidate(): void {
    this.#pickers = new WeakMap()
  }

  /**
   * One endpoint. `port` is used where the upstream has none of its own. `tried` has the keys of those that come last: after any change
   * of the mesh an endpoint is another object. @throws MeshError
   */
  pick(upstream: Upstream, port: number, tried?: ReadonlySet<string>): Target {
    if (upstream.kind === 'workload')
      return this.#workloadTarget(upstream.uid, upstream.port || port, upstream.protocol)
    const picker = this.#pickerOf(upstream)
    const avoid = tried === undefined || tried.size === 0 ? undefined : ({ key }: Target) => tried.has(key)
    const target = picker.pick(this.#options.now(), this.#options.random, avoid)
    if (target !== undefined) return target
    throw new MeshError('no-healthy-upstream', `${upstream.hostname}:${upstream.port} has no ready endpoint`, {
      at: 'upstream',
      hint: 'are its pods ready, and does the Service select them and have this port?',
    })
  }

  /** Whether another endpoint than those in `tried` could be picked. */
  hasOther(upstream: Upstream, tried: ReadonlySet<string>): boolean {
    if (upstream.kind !== 'service') return false
    try {
      return this.#pickerOf(upstream).some(({ key }) => !tried.has(key))
    } catch {
      return false
    }
  }

  #pickerOf(upstream: Upstream & { kind: 'service' }): Picker<Target> {
    const { state } = this.#options
    const endpoints = state.endpointsOf(upstream.service)
    let byUpstream = this.#pickers.get(endpoints)
    if (byUpstream === undefined) this.#pickers.set(endpoints, (byUpstream = new Map()))
    let picker = byUpstream.get(upstream)
    if (picker === undefined) {
      if (byUpstream.size > 1024) byUpstream.clear()
      byUpstream.set(upstream, (picker = createPicker(this.#entries(upstream, endpoints))))
    }
    return picker
  }

  #entries(upstream: Upstream & { kind: 'service' }, endpoints: readonly Endpoint[]) {
    const service = this.#options.state.serviceByName(upstream.service)
    if (service === undefined) return []
    const { port } = upstream
    // BackendTLSPolicy is about gateways (GEP-1897): a client in the mesh that wants TLS speaks it itself.
    const tls = this.#options.throughWaypoints() ? upstream.tls : undefined
    const protocol = protocolOf(service, upstream)
    const through = this.#options.throughWaypoints() && service.ingressUseWaypoint && service.waypoint !== undefined
    if (through) return this.#waypointEntries(service, port, protocol, tls)
    const entries = []
    for (const endpoint of candidatesOf(service, endpoints, { ...this.#facts(), port })) {
      const targetPort = targetPortOf(service, endpoint, port)
      if (targetPort === undefined) continue
      const target = this.#target(endpoint.workload, targetPort, { service, tls, protocol })
      entries.push({ endpoint: target, load: target.load, weight: endpoint.workload.capacity ?? 1 })
    }
    return entries
  }

  /** The waypoint's own endpoints, with a tunnel that is bound for the Service behind it. */
  #waypointEntries(service: Service, port: number, protocol: Protocol, tls: UpstreamTls | undefined) {
    const { state } = this.#options
    const found = state.resolveGateway(service.waypoint!)
    const address = service.addresses[0]
    const authority =
      address === undefined ? `${service.hostname}:${port}` : formatSocketAddress(formatIp(address.address), port)
    const waypoints =
      found === undefined ? [] : found.kind === 'workload' ? [found.workload] : this.#workloadsOf(found.service)
    if (waypoints.length === 0)
      throw new MeshError('waypoint-unavailable', `the waypoint of ${service.hostname} has no ready endpoint`, {
        at: 'upstream',
        hint: 'requests may not pass it by; see the Gateway that the Service names',
      })
    return waypoints.map((workload) => {
      const target = this.#target(workload, this.#options.tunnelPort, { service, tls, protocol })
      const expectedIdentities = [formatSpiffe(identityOf(workload))]
      const key = `${target.key}|${authority}`
      return { endpoint: { ...target, key, tunnel: { authority, expectedIdentities } }, load: target.load, weight: 1 }
    })
  }

  #workloadsOf(service: Service): readonly Workload[] {
    return candidatesOf(service, this.#options.state.endpointsOf(service), this.#facts()).map(
      ({ workload }) => workload,
    )
  }

  #workloadTarget(uid: string, port: number, protocol: Protocol): Target {
    const workload = this.#options.state.workloadByUid(uid)
    if (workload === undefined)
      throw new MeshError('workload-unknown', `workload ${uid} is not known`, {
        at: 'upstream',
        hint: 'was the pod deleted?',
      })
    return this.#target(workload, port, { service: undefined, tls: undefined, protocol })
  }

  #target(
    workload: Workload,
    port: number,
    context: { service: Service | undefined; tls: UpstreamTls | undefined; protocol: Protocol },
  ): Target {
    const ip: IpBytes | undefined = addressOf(workload, context.service, 4)
    const host = ip === undefined ? workload.hostname : formatIp(ip)
    const label = formatSocketAddress(host, port)
    const isTunnelled = workload.tunnelProtocol === proto.TunnelProtocol.HBONE && ip !== undefined
    const tunnel = isTunnelled ? { authority: label, expectedIdentities: [formatSpiffe(identityOf(workload))] } : null
    const { tls } = context
    return {
      key: `${workload.uid}|${label}|${tunnel === null ? 'tcp' : tunnel.expectedIdentities[0]}|${tls === undefined ? '' : JSON.stringify([tls.hostname, tls.caPem, tls.systemCa, tls.subjectAltNames, tls.invalid])}`,
      host,
      port: tunnel === null ? port : this.#options.tunnelPort,
      tunnel,
      ...context,
      load: this.#loadOf(`${workload.uid}|${port}`),
      workload,
      destinationIp: ip ?? new Uint8Array(4),
      destinationPort: port,
      label,
    }
  }

  #loadOf(key: string): EndpointLoad {
    let load = this.#loads.get(key)
    if (load === undefined) {
      if (this.#loads.size > 100_000) this.#loads.clear()
      this.#loads.set(key, (load = new EndpointLoad()))
    }
    return load
  }

  #facts() {
    const self = this.#options.self()
    return self === undefined
      ? {}
      : { clientLocality: self.locality, node: self.node, cluster: self.clusterId, network: self.network }
  }
}

/** What the Service says of its port, where the backend says no more than HTTP. */
function protocolOf(service: Service, { protocol, port }: Upstream): Protocol {
  if (protocol !== 'http' && protocol !== 'unknown') return protocol
  const declared = service.ports.find(({ servicePort }) => servicePort === port)?.appProtocol
  return declared === proto.AppProtocol.HTTP2 || declared === proto.AppProtocol.GRPC ? 'http2' : protocol
}
