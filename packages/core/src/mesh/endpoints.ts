// Which workloads are behind which service. A workload may name a service before the service itself has arrived:
// its membership waits here under the service's name.
import { workload as proto } from '@wishbone/proto'
import type { Endpoint, Service, Workload } from './types.ts'

const none: readonly Endpoint[] = []

interface Members {
  readonly byUid: Map<string, Endpoint>
  /** What lookups answer; built on the first lookup after a change. */
  answer: readonly Endpoint[] | undefined
}

export class EndpointIndex {
  readonly #members = new Map<string, Members>()

  /** The endpoints that `service` may use: the healthy ones, or all of them if it says so. The same array until something changes. */
  of(name: string, service: Service): readonly Endpoint[] {
    const members = this.#members.get(name)
    if (members === undefined) return none
    if (members.answer === undefined) {
      const all = service.loadBalancing?.healthPolicy === proto.LoadBalancing_HealthPolicy.ALLOW_ALL
      members.answer = [...members.byUid.values()].filter((endpoint) => all || isHealthy(endpoint.workload))
    }
    return members.answer
  }

  /** One workload's membership, healthy or not. */
  get(name: string, uid: string): Endpoint | undefined {
    return this.#members.get(name)?.byUid.get(uid)
  }

  /** Names of services that have members; those that no service bears are staged. */
  names(): IterableIterator<string> {
    return this.#members.keys()
  }

  add(workload: Workload): void {
    for (const name of Object.keys(workload.services)) {
      let members = this.#members.get(name)
      if (members === undefined) this.#members.set(name, (members = { byUid: new Map(), answer: undefined }))
      members.byUid.set(workload.uid, { workload, ports: portsOf(workload.services[name]!) })
      members.answer = undefined
    }
  }

  remove(workload: Workload): void {
    for (const name of Object.keys(workload.services)) {
      const members = this.#members.get(name)
      if (members === undefined) continue
      members.byUid.delete(workload.uid)
      members.answer = undefined
      if (members.byUid.size === 0) this.#members.delete(name)
    }
  }

  /** A service came, changed or left: its health policy may be another. */
  invalidate(name: string): void {
    const members = this.#members.get(name)
    if (members !== undefined) members.answer = undefined
  }
}

function isHealthy(workload: Workload): boolean {
  return workload.status === proto.WorkloadStatus.HEALTHY
}

function portsOf(list: proto.PortList): ReadonlyMap<number, number> {
  const ports = new Map<number, number>()
  for (const port of list.ports) ports.set(port.servicePort, port.targetPort)
  return ports
}
