// Services by name, hostname, VIP and network of VIPs.
import { canonicalIp, ipKey, parseIp } from '../ip/address.ts'
import { maskIp } from '../ip/cidr.ts'
import { addressName, serviceName } from '../names/resources.ts'
import type { NetworkAddress, Service } from './types.ts'

const none: readonly Service[] = []

/** A network of VIPs: what to mask an address with, and the services by masked address. */
interface Prefix {
  readonly length: number
  readonly services: Map<string, readonly Service[]>
}

export class ServiceIndex {
  readonly #byName = new Map<string, Service>()
  readonly #byHostname = new Map<string, readonly Service[]>()
  readonly #byVip = new Map<string, readonly Service[]>()
  /** By "<network>/<4 or 16>", longest prefix first. */
  readonly #prefixes = new Map<string, Prefix[]>()

  get size(): number {
    return this.#byName.size
  }

  values(): IterableIterator<Service> {
    return this.#byName.values()
  }

  get(name: string): Service | undefined {
    return this.#byName.get(name)
  }

  byHostname(hostname: string): readonly Service[] {
    return this.#byHostname.get(hostname) ?? none
  }

  /**
   * The groups of services that own an address: first those of exactly this VIP, then those of each network around it,
   * longest prefix first.
   */
  byAddress(network: string, ip: string): readonly (readonly Service[])[] {
    const groups: (readonly Service[])[] = []
    const exact = this.#byVip.get(addressName(network, ip))
    if (exact !== undefined) groups.push(exact)
    if (this.#prefixes.size === 0) return groups
    const parsed = parseIp(ip)
    if (parsed === undefined) return groups
    const bytes = canonicalIp(parsed)
    for (const prefix of this.#prefixes.get(`${network}/${bytes.length}`) ?? []) {
      const services = prefix.services.get(ipKey(maskIp(bytes, prefix.length)))
      if (services !== undefined) groups.push(services)
    }
    return groups
  }

  set(service: Service): void {
    const name = serviceName(service.namespace, service.hostname)
    this.delete(name)
    this.#byName.set(name, service)
    insert(this.#byHostname, service.hostname, service)
    for (const address of service.addresses) {
      const vip = vipOf(address)
      if (vip.kind === 'exact') insert(this.#byVip, vip.key, service)
      else insert(this.#prefix(vip.family, vip.length).services, vip.key, service)
    }
  }

  /** Takes a service out; answers what it was. */
  delete(name: string): Service | undefined {
    const old = this.#byName.get(name)
    if (old === undefined) return undefined
    this.#byName.delete(name)
    remove(this.#byHostname, old.hostname, old)
    for (const address of old.addresses) {
      const vip = vipOf(address)
      if (vip.kind === 'exact') remove(this.#byVip, vip.key, old)
      else {
        const prefix = this.#prefix(vip.family, vip.length)
        remove(prefix.services, vip.key, old)
        if (prefix.services.size === 0) this.#forgetPrefix(vip.family, vip.length)
      }
    }
    return old
  }

  #prefix(family: string, length: number): Prefix {
    let prefixes = this.#prefixes.get(family)
    if (prefixes === undefined) this.#prefixes.set(family, (prefixes = []))
    let prefix = prefixes.find((candidate) => candidate.length === length)
    if (prefix === undefined) {
      prefix = { length, services: new Map() }
      prefixes.push(prefix)
      prefixes.sort((a, b) => b.length - a.length)
    }
    return prefix
  }

  #forgetPrefix(family: string, length: number): void {
    const rest = (this.#prefixes.get(family) ?? []).filter((prefix) => prefix.length !== length)
    if (rest.length === 0) this.#prefixes.delete(family)
    else this.#prefixes.set(family, rest)
  }
}

type Vip =
  | { readonly kind: 'exact'; readonly key: string }
  | { readonly kind: 'prefix'; readonly family: string; readonly length: number; readonly key: string }

function vipOf(address: NetworkAddress): Vip {
  const ip = canonicalIp(address.address)
  // The length of a mapped address counts the 96 bits of its prefix.
  const length =
    address.length === undefined ? ip.length * 8 : address.length - (address.address.length - ip.length) * 8
  if (length >= ip.length * 8) return { kind: 'exact', key: addressName(address.network, ipKey(ip)) }
  const bits = Math.max(0, length)
  return { kind: 'prefix', family: `${address.network}/${ip.length}`, length: bits, key: ipKey(maskIp(ip, bits)) }
}

/** Candidates stay sorted by namespace, so that "the first" is the same one on every node. */
function insert(map: Map<string, readonly Service[]>, key: string, service: Service): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, [service])
  else if (!found.includes(service))
    map.set(
      key,
      [...found, service].sort((a, b) => compare(a.namespace, b.namespace) || compare(a.hostname, b.hostname)),
    )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function remove(map: Map<string, readonly Service[]>, key: string, service: Service): void {
  const rest = map.get(key)?.filter((other) => other !== service)
  if (rest === undefined) return
  if (rest.length === 0) map.delete(key)
  else map.set(key, rest)
}
