// One listener's table: what it is bound to, and the routes that are attached to it.
import { buildHostTable } from '@wishbone/core/matching'
import type { l7 } from '@wishbone/proto'
import type { Attached } from './attached.ts'
import { backendOfService, protocolOf } from './backend.ts'
import { compileFilters } from './filters.ts'
import type { Bound, ListenerTable, Protocol, Rule, TcpRule, Termination } from './types.ts'

/** Undefined: what it is bound to, or its protocol, is of a later version. */
export function listenerTable(listener: l7.Listener, attached: Attached | undefined): ListenerTable | undefined {
  const bound = boundOf(listener)
  const protocol = protocolOf(listener.protocol)
  if (bound === undefined || protocol === undefined) return undefined
  const tables = (namespace: string) => ({
    http: attached?.http.table(namespace) ?? null,
    tcp: attached?.tcp.table(namespace) ?? null,
  })
  const producer = tables('')
  const consumers = new Map<string, ReturnType<typeof tables>>()
  for (const namespace of [...(attached?.http.namespaces() ?? []), ...(attached?.tcp.namespaces() ?? [])])
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
    itself: itself(listener, bound, protocol),
  }
}

function terminationOf({ certificates, clientValidation }: l7.TlsTermination): Termination {
  return { certificates, clientValidation }
}

function itself(listener: l7.Listener, bound: Bound, protocol: Protocol): Rule | null {
  const backend = backendOfService(bound, protocol, 0)
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
