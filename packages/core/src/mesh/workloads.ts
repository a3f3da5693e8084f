// Workloads by uid, by address and by name. Workloads of the host's network are not found by address: the node's
// address is not theirs alone (ambient wire §4.1).
import { workload as proto } from '@wishbone/proto'
import { ipKey } from '../ip/address.ts'
import { addressName } from '../names/resources.ts'
import type { Workload } from './types.ts'

const none: readonly Workload[] = []

export class WorkloadIndex {
  readonly #byUid = new Map<string, Workload>()
  /** Nearly every address has one owner; a list only while several claim it, the preferred one first. */
  readonly #byAddress = new Map<string, Workload | readonly Workload[]>()
  readonly #byName = new Map<string, Workload | readonly Workload[]>()

  get size(): number {
    return this.#byUid.size
  }

  values(): IterableIterator<Workload> {
    return this.#byUid.values()
  }

  get(uid: string): Workload | undefined {
    return this.#byUid.get(uid)
  }

  byAddress(network: string, ip: string): Workload | undefined {
    const found = this.#byAddress.get(addressName(network, ip))
    return found !== undefined && isList(found) ? found[0] : found
  }

  byName(namespace: string, name: string): readonly Workload[] {
    const found = this.#byName.get(`${namespace}/${name}`)
    return found === undefined ? none : isList(found) ? found : [found]
  }

  set(workload: Workload): void {
    this.delete(workload.uid)
    this.#byUid.set(workload.uid, workload)
    for (const key of addressKeys(workload)) insert(this.#byAddress, key, workload)
    insert(this.#byName, `${workload.namespace}/${workload.name}`, workload)
  }

  /** Takes a workload out; answers what it was. */
  delete(uid: string): Workload | undefined {
    const old = this.#byUid.get(uid)
    if (old === undefined) return undefined
    this.#byUid.delete(uid)
    for (const key of addressKeys(old)) remove(this.#byAddress, key, old)
    remove(this.#byName, `${old.namespace}/${old.name}`, old)
    return old
  }
}

function addressKeys(workload: Workload): string[] {
  if (workload.networkMode === proto.NetworkMode.HOST_NETWORK) return []
  return workload.addresses.map((address) => addressName(workload.network, ipKey(address)))
}

type Owners = Workload | readonly Workload[]

function isList(owners: Owners): owners is readonly Workload[] {
  return Array.isArray(owners)
}

function insert(map: Map<string, Owners>, key: string, workload: Workload): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, workload)
  else {
    // The newest comes first among equals: an address that was given to a new pod is the new pod's.
    const all = [workload, ...(isList(found) ? found : [found]).filter((other) => other.uid !== workload.uid)]
    map.set(key, all.length === 1 ? workload : all.sort((a, b) => preference(b) - preference(a)))
  }
}

function remove(map: Map<string, Owners>, key: string, workload: Workload): void {
  const found = map.get(key)
  if (found === undefined) return
  if (!isList(found)) {
    if (found.uid === workload.uid) map.delete(key)
    return
  }
  const rest = found.filter((other) => other.uid !== workload.uid)
  if (rest.length === 0) map.delete(key)
  else map.set(key, rest.length === 1 ? rest[0]! : rest)
}

/** A Pod before anything else, then whoever speaks HBONE. */
function preference(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.tunnelProtocol === proto.TunnelProtocol.HBONE ? 1 : 0)
}
