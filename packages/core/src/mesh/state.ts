// The state of the mesh as one proxy knows it. It changes only through apply and applyAuthorizations, which a stream of
// xDS responses drives; between two of them every answer stays the same, and answers themselves never change. An update
// costs what the changed resources cost, not what the state holds. It has no clock: waiting for what is missing is done
// by whoever asks, with onChange.
import { canonicalIp, formatIp } from '../ip/address.ts'
import { parseAddressName, serviceName } from '../names/resources.ts'
import { EndpointIndex } from './endpoints.ts'
import { PolicyIndex } from './policies.ts'
import { resolveService } from './resolve.ts'
import { ServiceIndex } from './services.ts'
import type {
  Address,
  AddressUpdate,
  Authorization,
  AuthorizationUpdate,
  Destination,
  Endpoint,
  GatewayAddress,
  MeshChange,
  MeshOptions,
  MissingPolicies,
  Rejection,
  Service,
  Workload,
} from './types.ts'
import { validateService, validateWorkload } from './validate.ts'
import { WorkloadIndex } from './workloads.ts'

const noEndpoints: readonly Endpoint[] = []

export class MeshState {
  readonly #workloads = new WorkloadIndex()
  readonly #services = new ServiceIndex()
  readonly #endpoints = new EndpointIndex()
  readonly #policies = new PolicyIndex()
  readonly #listeners = new Set<(change: MeshChange) => void>()
  readonly #options: MeshOptions

  constructor(options: MeshOptions = {}) {
    this.#options = options
  }

  /** Takes addresses in and out. A resource that is wrong is not taken, its former version stays, and it is reported. */
  apply(update: AddressUpdate): readonly Rejection[] {
    const rejections: Rejection[] = []
    for (const name of update.removed) this.#removeAddress(name)
    for (const [name, address] of update.addresses) {
      const reason = this.#setAddress(address)
      if (reason !== undefined) rejections.push({ name, reason })
    }
    this.#notify({ kind: 'addresses', updated: update.addresses.map(([name]) => name), removed: update.removed })
    return rejections
  }

  /** Takes policies in and out. A policy that cannot be read is reported, and never leaves open what it was to close. */
  applyAuthorizations(update: AuthorizationUpdate): readonly Rejection[] {
    const rejections: Rejection[] = []
    for (const name of update.removed) this.#policies.delete(name)
    for (const [name, authorization] of update.authorizations) {
      const reason = this.#policies.set(name, authorization)
      if (reason !== undefined) rejections.push({ name, reason })
    }
    const updated = update.authorizations.map(([name]) => name)
    this.#notify({ kind: 'authorizations', updated, removed: update.removed })
    return rejections
  }

  /** Calls `listener` after every update; the answer ends that. A listener must not throw and must not apply updates. */
  onChange(listener: (change: MeshChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#workloads.get(uid)
  }

  /** `ip` is canonical text (ip's ipKey). Workloads of the host's network are not found. */
  workloadByAddress(network: string, ip: string): Workload | undefined {
    return this.#workloads.byAddress(network, ip)
  }

  /** Workloads of this namespace and name; more than one only with several clusters. */
  workloadsByName(namespace: string, name: string): readonly Workload[] {
    return this.#workloads.byName(namespace, name)
  }

  /** By resource name, <namespace>/<hostname>. */
  serviceByName(name: string): Service | undefined {
    return this.#services.get(name)
  }

  /** All services of a hostname (lower case, no final dot), sorted by namespace. Resolve with resolveService. */
  servicesByHostname(hostname: string): readonly Service[] {
    return this.#services.byHostname(hostname)
  }

  /** The service of a hostname that a client of this namespace means. */
  serviceByHostname(hostname: string, clientNamespace?: string): Service | undefined {
    return resolveService(this.#services.byHostname(hostname), clientNamespace, this.#options.preferredNamespace)
  }

  /**
   * The service that owns an address for a client of this namespace: by its VIP, else by the networks around it, where
   * the client's own namespace comes first, then the longest prefix, then the canonical service.
   */
  serviceByAddress(network: string, ip: string, clientNamespace?: string): Service | undefined {
    const groups = this.#services.byAddress(network, ip)
    let best: Service | undefined
    for (const group of groups) {
      const found = resolveService(group, clientNamespace, this.#options.preferredNamespace)
      if (found === undefined) continue
      if (found.namespace === clientNamespace) return found
      best ??= found
    }
    return best
  }

  /** All services that own an address, whoever asks; exact VIPs first, then longer prefixes before shorter ones. */
  servicesByAddress(network: string, ip: string): readonly Service[] {
    return this.#services.byAddress(network, ip).flat()
  }

  /** What an address is, to decide whether a service was addressed: a workload before a service. */
  findAddress(network: string, ip: string, clientNamespace?: string): Destination | undefined {
    const workload = this.workloadByAddress(network, ip)
    if (workload !== undefined) return { kind: 'workload', workload }
    const service = this.serviceByAddress(network, ip, clientNamespace)
    return service === undefined ? undefined : { kind: 'service', service }
  }

  /** Where an address leads: a service before a workload. */
  findUpstream(network: string, ip: string, clientNamespace?: string): Destination | undefined {
    const service = this.serviceByAddress(network, ip, clientNamespace)
    if (service !== undefined) return { kind: 'service', service }
    const workload = this.workloadByAddress(network, ip)
    return workload === undefined ? undefined : { kind: 'workload', workload }
  }

  /** The service or workload behind a waypoint's or network gateway's address; undefined: it is not there, so refuse. */
  resolveGateway({ destination }: GatewayAddress, clientNamespace?: string): Destination | undefined {
    if (destination.case === 'hostname') {
      const { namespace, hostname } = destination.value
      const service = this.#services.get(serviceName(namespace, hostname))
      return service === undefined ? undefined : { kind: 'service', service }
    }
    if (destination.case !== 'address') return undefined
    const { network, address } = destination.value
    if (address.length !== 4 && address.length !== 16) return undefined
    return this.findUpstream(network, formatIp(canonicalIp(address)), clientNamespace)
  }

  /** The endpoints that a service may use now; the same array until something changes. Empty for a service that is not there. */
  endpointsOf(service: Service | string): readonly Endpoint[] {
    const name = typeof service === 'string' ? service : serviceName(service.namespace, service.hostname)
    const current = this.#services.get(name)
    return current === undefined ? noEndpoints : this.#endpoints.of(name, current)
  }

  /** A workload as a member of a service, healthy or not. */
  endpointOf(service: Service | string, uid: string): Endpoint | undefined {
    const name = typeof service === 'string' ? service : serviceName(service.namespace, service.hostname)
    return this.#endpoints.get(name, uid)
  }

  /** Every policy that applies to a workload, or which of those that it names have not been received. */
  policiesOf(workload: Workload): readonly Authorization[] | MissingPolicies {
    return this.#policies.of(workload)
  }

  policyByName(name: string): Authorization | undefined {
    return this.#policies.get(name)
  }

  workloads(): IterableIterator<Workload> {
    return this.#workloads.values()
  }

  services(): IterableIterator<Service> {
    return this.#services.values()
  }

  /** [resource name, policy]. */
  policies(): IterableIterator<readonly [string, Authorization]> {
    return this.#policies.values()
  }

  /** Names of services that workloads claim to belong to, but that have not arrived. */
  stagedServices(): readonly string[] {
    return [...this.#endpoints.names()].filter((name) => this.#services.get(name) === undefined)
  }

  get sizes(): { readonly workloads: number; readonly services: number; readonly policies: number } {
    return { workloads: this.#workloads.size, services: this.#services.size, policies: this.#policies.size }
  }

  #setAddress(address: Address): string | undefined {
    const { type } = address
    if (type.case === 'workload') {
      const problem = validateWorkload(type.value)
      if (problem !== undefined) return problem
      const old = this.#workloads.get(type.value.uid)
      if (old !== undefined) this.#endpoints.remove(old)
      this.#workloads.set(type.value)
      this.#endpoints.add(type.value)
      return undefined
    }
    if (type.case === 'service') {
      const problem = validateService(type.value)
      if (problem !== undefined) return problem
      this.#services.set(type.value)
      this.#endpoints.invalidate(serviceName(type.value.namespace, type.value.hostname))
      return undefined
    }
    return 'the address is neither a workload nor a service'
  }

  /** A removed name is a workload's uid; if none has it, a service's <namespace>/<hostname>. */
  #removeAddress(name: string): void {
    const workload = this.#workloads.delete(name)
    if (workload !== undefined) {
      this.#endpoints.remove(workload)
      return
    }
    const parsed = parseAddressName(name)
    if (parsed.kind !== 'service') return
    this.#services.delete(name)
    this.#endpoints.invalidate(name)
  }

  #notify(change: MeshChange): void {
    for (const listener of [...this.#listeners]) listener(change)
  }
}

/** Tells the two answers of policiesOf apart. */
export function isMissing(answer: readonly Authorization[] | MissingPolicies): answer is MissingPolicies {
  return 'kind' in answer
}
