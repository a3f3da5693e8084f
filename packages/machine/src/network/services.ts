// Services on a node, as kube-proxy would have them: nftables rules that send a Service's address to one of its ready endpoints,
// chosen at random per connection. `serviceRules` is pure.
import type { NftRule, NftRuleset } from '@wishbone/runtime/os'
import type { EndpointSlice, Service } from '../types.ts'
import { type AddressPlan, isV6 } from './plan.ts'

interface Target {
  readonly ip: string
  readonly port: number
}

/** Marks connections to LoadBalancer addresses, whose answers must come back through this node. */
const loadBalancerMark = { value: 0x4000, mask: 0x4000 }

function targetsOf(
  service: Service,
  portName: string,
  family: 'IPv4' | 'IPv6',
  slices: readonly EndpointSlice[],
): readonly Target[] {
  const targets: Target[] = []
  for (const slice of slices) {
    if (slice.addressType !== family) continue
    const port = slice.ports?.find((candidate) => (candidate.name ?? '') === portName)?.port
    if (port === undefined) continue
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false && !service.spec.publishNotReadyAddresses) continue
      const [ip] = endpoint.addresses
      if (ip) targets.push({ ip, port })
    }
  }
  return targets
}

/** The rules for every Service, from its slices (keyed `namespace/service`). */
export function serviceRules(
  services: Iterable<Service>,
  slicesOf: (key: string) => readonly EndpointSlice[],
  plan: AddressPlan,
): NftRuleset {
  const dnat: NftRule[] = []
  const hairpins = new Map<string, NftRule>()
  for (const range of plan.loadBalancerRanges) {
    dnat.push({ match: [{ kind: 'destinationIp', value: range }], action: { kind: 'setMark', ...loadBalancerMark } })
  }
  for (const service of services) {
    const { clusterIP } = service.spec
    if (!clusterIP || clusterIP === 'None') continue
    const slices = slicesOf(`${service.metadata.namespace}/${service.metadata.name}`)
    const ips = [
      ...(service.spec.clusterIPs ?? [clusterIP]),
      ...(service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : [])),
    ]
    for (const ip of ips) {
      const family = isV6(ip) ? 'IPv6' : 'IPv4'
      for (const port of service.spec.ports ?? []) {
        const protocol = (port.protocol ?? 'TCP').toLowerCase() as 'tcp' | 'udp'
        if (protocol !== 'tcp' && protocol !== 'udp') continue
        const match = [
          { kind: 'destinationIp', value: ip },
          { kind: 'l4proto', value: protocol },
          { kind: 'destinationPort', value: port.port },
        ] as const
        const targets = targetsOf(service, port.name ?? '', family, slices)
        // Nobody there: refuse at once instead of losing the packet on its way to an address that nobody has.
        if (targets.length === 0) continue
        for (const [index, target] of targets.entries()) {
          const left = targets.length - index
          const chance = left > 1 ? ([{ kind: 'numgen', mod: left, value: 0 }] as const) : []
          dnat.push({ match: [...match, ...chance], action: { kind: 'dnat', ip: target.ip, port: target.port } })
          const self = { value: target.ip }
          hairpins.set(target.ip, {
            match: [{ kind: 'sourceIp', ...self }, { kind: 'destinationIp', ...self }, { kind: 'ctStatusDnat' }],
            action: { kind: 'masquerade' },
          })
        }
      }
    }
  }
  return {
    family: 'inet',
    table: 'machine-services',
    chains: [
      { name: 'services', rules: dnat },
      {
        name: 'prerouting',
        type: 'nat',
        hook: 'prerouting',
        priority: -100,
        rules: [{ match: [], action: { kind: 'jump', chain: 'services' } }],
      },
      {
        name: 'output',
        type: 'nat',
        hook: 'output',
        priority: -100,
        rules: [{ match: [], action: { kind: 'jump', chain: 'services' } }],
      },
      {
        name: 'forward',
        type: 'filter',
        hook: 'forward',
        priority: 0,
        rules: [
          {
            // Connection tracking gives up on a late retransmission, which would then arrive without its translation and be
            // answered with a reset that ends a healthy connection (kubernetes/kubernetes#74839).
            match: [
              { kind: 'l4proto', value: 'tcp' },
              { kind: 'ctState', value: ['invalid'] },
            ],
            action: { kind: 'drop' },
          },
        ],
      },
      {
        name: 'postrouting',
        type: 'nat',
        hook: 'postrouting',
        priority: 100,
        rules: [
          { match: [{ kind: 'mark', ...loadBalancerMark }, { kind: 'ctStatusDnat' }], action: { kind: 'masquerade' } },
          ...hairpins.values(),
        ],
      },
    ],
  }
}
