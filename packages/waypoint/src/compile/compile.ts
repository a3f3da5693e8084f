// The whole configuration at once; the order of the resources does not matter.
import { buildHostTable, type Entry, type HostTable } from '@wishbone/core/matching'
import type { l7 } from '@wishbone/proto'
import { backendOfService, protocolOf } from './backend.ts'
import { compileFilters } from './filters.ts'
import { buildPorts } from './gateway.ts'
import { entriesOf, tcpEntriesOf } from './rule.ts'
import type { Bound, ListenerTable, RouteTable, Rule, TcpRule, Termination, WaypointResources } from './types.ts'
import { buildUdpPorts } from './udp.ts'

interface Attached {
  /** By consumer namespace; "" is the producer's. */
  readonly http: Map<string, Entry<Rule>[]>
  readonly tcp: Map<string, Entry<TcpRule>[]>
}

/**
 * Builds the table. What cannot be used is left out and named in `problems`. Parts that did not change are taken from
 * `previous`: one changed route among thousands must not make requests wait.
 */
export function compile(resources: WaypointResources, previous?: RouteTable): RouteTable {
  const problems: { resource: string; reason: string }[] = []
  const attached = attach(resources, (resource, reason) => problems.push({ resource, reason }))
  const listeners = new Map<string, ListenerTable>()
  const services = new Map<string, ListenerTable>()
  const workloads = new Map<string, ListenerTable>()
  for (const listener of resources.listeners.values()) {
    const bound = boundOf(listener)
    if (bound === undefined) {
      problems.push({ resource: listener.name, reason: 'the listener is bound to nothing that this version knows' })
      continue
    }
    const table = listenerTable(listener, bound, attached.get(listener.name), previous?.listeners.get(listener.name))
    listeners.set(listener.name, table)
    if (bound.kind === 'service') services.set(`${bound.hostname}:${bound.port}`, table)
    if (bound.kind === 'workload') workloads.set(bound.uid, table)
  }
  const udpPorts = buildUdpPorts(listeners, resources.udpRoutes)
  const ports = buildPorts([...listeners.values()], (resource, reason) => problems.push({ resource, reason }))
  const [backendClientCertificate = ''] = [...resources.listeners.values()]
    .map((listener) => listener.backendClientCertificate)
    .filter((name) => name !== '')
  return { listeners, services, workloads, ports, udpPorts, backendClientCertificate, problems }
}

function attach(
  { routes, tcpRoutes }: WaypointResources,
  report: (resource: string, reason: string) => void,
): ReadonlyMap<string, Attached> {
  const attached = new Map<string, Attached>()
  const of = (listener: string): Attached => {
    let found = attached.get(listener)
    if (found === undefined) attached.set(listener, (found = { http: new Map(), tcp: new Map() }))
    return found
  }
  for (const route of routes.values())
    for (const parent of route.parents) {
      const entries = entriesOf(route, parent, (reason) => report(route.name, reason))
      add(of(parent.listener).http, route.consumerNamespace, entries)
    }
  for (const route of tcpRoutes.values())
    for (const parent of route.parents)
      add(of(parent.listener).tcp, route.consumerNamespace, tcpEntriesOf(route, parent))
  return attached
}

function add<T>(groups: Map<string, Entry<T>[]>, key: string, entries: readonly Entry<T>[]): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [...entries])
  else group.push(...entries)
}

function listenerTable(
  listener: l7.Listener,
  bound: Bound,
  attached: Attached | undefined,
  previous: ListenerTable | undefined,
): ListenerTable {
  const protocol = protocolOf(listener.protocol)
  const tables = (namespace: string) => {
    const before = namespace === '' ? previous : previous?.consumers.get(namespace)
    return {
      http: tableOf(attached?.http.get(namespace), before?.http),
      tcp: tableOf(attached?.tcp.get(namespace), before?.tcp),
    }
  }
  const producer = tables('')
  const consumers = new Map<string, { http: HostTable<Rule> | null; tcp: HostTable<TcpRule> | null }>()
  for (const namespace of [...(attached?.http.keys() ?? []), ...(attached?.tcp.keys() ?? [])])
    if (namespace !== '') consumers.set(namespace, tables(namespace))
  // The controller says that there are routes before they arrive: until then nothing matches, which is not "no routes".
  const expected = listener.hasRoutes || bound.kind === 'gateway'
  const missing = expected && producer.http === null && producer.tcp === null
  const isBytes = protocol === 'tcp' || protocol === 'tls'
  return {
    name: listener.name,
    source: listener.source,
    protocol,
    bound,
    policies: listener.policies,
    tls: listener.tls === undefined ? null : terminationOf(listener.tls),
    http: missing && !isBytes ? buildHostTable<Rule>([]) : producer.http,
    tcp: missing && isBytes ? buildHostTable<TcpRule>([]) : producer.tcp,
    consumers,
    itself: itself(listener, bound),
  }
}

function terminationOf({ certificates, clientValidation }: l7.TlsTermination): Termination {
  return { certificates, clientValidation }
}

function itself(listener: l7.Listener, bound: Bound): Rule | null {
  const backend = backendOfService(bound, protocolOf(listener.protocol), 0)
  if (backend === undefined) return null
  return {
    name: listener.name,
    source: listener.source,
    grpc: false,
    filters: compileFilters([]),
    backends: [backend],
    requestTimeoutMs: undefined,
    backendTimeoutMs: undefined,
    retry: undefined,
  }
}

function tableOf<T>(
  entries: readonly Entry<T>[] | undefined,
  previous: HostTable<T> | null | undefined,
): HostTable<T> | null {
  return entries === undefined ? null : buildHostTable(entries, previous)
}

function boundOf(listener: l7.Listener): Bound | undefined {
  const { bound } = listener
  switch (bound.case) {
    case 'service':
      return {
        kind: 'service',
        namespace: bound.value.namespace,
        hostname: bound.value.hostname,
        port: bound.value.port,
      }
    case 'workload':
      return { kind: 'workload', uid: bound.value.uid }
    case 'gateway':
      return { kind: 'gateway', port: bound.value.port, hostname: bound.value.hostname.toLowerCase() }
    case undefined:
      return undefined
  }
}
