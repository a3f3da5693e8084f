// A gateway's UDP ports: the oldest route of a listener gets its traffic.
import { formatIp } from '@wishbone/core/ip'
import type { l7 } from '@wishbone/proto'
import type { ListenerTable, UdpPortTable, UdpRule } from './types.ts'

export function buildUdpPorts(
  listeners: Iterable<ListenerTable>,
  routes: Iterable<l7.UdpRoute>,
): ReadonlyMap<number, UdpPortTable> {
  const sorted = [...routes].sort(compareRoutes)
  const accepting = [...listeners].filter(({ bound, protocol }) => bound.kind === 'gateway' && protocol === 'udp')
  const ports = new Map<number, UdpPortTable>()
  for (const { name, bound } of accepting.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (bound.kind !== 'gateway' || ports.has(bound.port)) continue
    const route = sorted.find(({ parents }) => parents.some(({ listener }) => listener === name))
    ports.set(bound.port, { port: bound.port, listener: name, rule: route === undefined ? null : ruleOf(route) })
  }
  return ports
}

function ruleOf({ name, backends }: l7.UdpRoute): UdpRule {
  return {
    name,
    backends: backends.map(({ weight, endpoints }) => ({
      weight,
      // What is no address costs itself: nobody is there to catch what formatIp throws.
      endpoints: endpoints.flatMap(({ address, port }) =>
        address.length === 4 || address.length === 16 ? [{ host: formatIp(address), port }] : [],
      ),
    })),
  }
}

/** Oldest first, then by name, then in the order of the route's rules. */
function compareRoutes(a: l7.UdpRoute, b: l7.UdpRoute): number {
  const [one, other] = [keyOf(a), keyOf(b)]
  for (const [index, value] of one.entries()) {
    const against = other[index]!
    if (value !== against) return value < against ? -1 : 1
  }
  return 0
}

function keyOf({ precedence, name }: l7.UdpRoute): readonly (string | number | bigint)[] {
  if (precedence === undefined) return [0n, '', '', 0, name]
  return [precedence.createdUnixMs, precedence.namespace, precedence.name, precedence.rule, name]
}
