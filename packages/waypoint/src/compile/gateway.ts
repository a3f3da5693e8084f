// A gateway's listeners by port: which of them a host or SNI belongs to (Gateway API, listener isolation).
import { matchesHostname } from '@wishbone/core/matching'
import type { ListenerTable, PortTable } from './types.ts'

/** Listeners of different kinds on one port are a conflict that the controller resolves; here the first kind stays. */
export function buildPorts(
  listeners: Iterable<ListenerTable>,
  report: (resource: string, reason: string) => void,
): ReadonlyMap<number, PortTable> {
  const ports = new Map<number, PortTable>()
  const accepting = [...listeners].filter(({ bound, protocol }) => bound.kind === 'gateway' && protocol !== 'udp')
  const sorted = accepting.sort((a, b) => specificity(b) - specificity(a) || (a.name < b.name ? -1 : 1))
  for (const listener of sorted) {
    if (listener.bound.kind !== 'gateway') continue
    const { port } = listener.bound
    const kind = kindOf(listener)
    const known = ports.get(port)
    if (known !== undefined && known.kind !== kind) {
      report(listener.name, `port ${port} already accepts ${known.kind}`)
      continue
    }
    ports.set(port, { port, kind, listeners: [...(known?.listeners ?? []), listener] })
  }
  return ports
}

/** The most specific listener whose hostname takes `host` (lower case, without port). */
export function selectListener(table: PortTable, host: string): ListenerTable | undefined {
  for (const listener of table.listeners) if (matchesHostname(hostnameOf(listener), host)) return listener
  return undefined
}

/** On TLS: the host belongs to another listener than the SNI did (RFC 9110 §15.5.20): answer 421. */
export function isMisdirected(table: PortTable, sni: ListenerTable, host: string): boolean {
  const own = selectListener(table, host)
  return own !== undefined && own.name !== sni.name
}

function hostnameOf(listener: ListenerTable): string {
  return listener.bound.kind === 'gateway' ? listener.bound.hostname : ''
}

function specificity(listener: ListenerTable): number {
  const hostname = hostnameOf(listener)
  if (hostname === '') return 0
  return hostname.startsWith('*.') ? hostname.length : 1024 + hostname.length
}

function kindOf(listener: ListenerTable): PortTable['kind'] {
  switch (listener.protocol) {
    case 'https':
      return 'tls'
    case 'tcp':
      return 'tcp'
    case 'tls':
      return 'tls'
    default:
      return 'http'
  }
}
