// Every address of the simulated cluster, as a function of its settings. Pure.

export type Family = 'IPv4' | 'IPv6'

export interface AddressPlan {
  readonly families: readonly Family[]
  /** The API server, DNS server and an HTTP server outside the cluster, all in the fabric. */
  readonly apiServer: readonly string[]
  readonly apiService: readonly string[]
  readonly dns: readonly string[]
  readonly outside: readonly string[]
  /** `node` counts from 1. With the prefix length of the link's network. */
  fabricSide(node: number): readonly string[]
  nodeSide(node: number): readonly string[]
  nodeIps(node: number): readonly string[]
  podRange(node: number): readonly string[]
  podIps(node: number, index: number): readonly string[]
  serviceIp(family: Family, index: number): string
  loadBalancerIp(family: Family, index: number): string
  readonly serviceRanges: readonly string[]
  readonly loadBalancerRanges: readonly string[]
  /** Where a pod's packets go first: the same link-local address on every node. */
  readonly podGateways: readonly string[]
}

interface FamilyPlan {
  readonly family: Family
  readonly apiServer: string
  readonly outside: string
  readonly dns: string
  readonly gateway: string
  readonly serviceRange: string
  readonly loadBalancerRange: string
  readonly link: (node: number, side: number) => string
  readonly linkLength: number
  readonly podRange: (node: number) => string
  readonly pod: (node: number, index: number) => string
  readonly service: (index: number) => string
  readonly loadBalancer: (index: number) => string
}

const four: FamilyPlan = {
  family: 'IPv4',
  apiServer: '172.30.0.1',
  outside: '172.30.0.2',
  dns: '10.96.0.10',
  gateway: '169.254.1.1',
  serviceRange: '10.96.0.0/16',
  loadBalancerRange: '172.31.0.0/24',
  link: (node, side) => `172.30.${node}.${side}`,
  linkLength: 24,
  podRange: (node) => `10.244.${node}.0/24`,
  pod: (node, index) => `10.244.${node}.${index + 2}`,
  service: (index) => `10.96.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`,
  loadBalancer: (index) => `172.31.0.${index + 1}`,
}

const six: FamilyPlan = {
  family: 'IPv6',
  apiServer: 'fd00:172:30::1',
  outside: 'fd00:172:30::2',
  dns: 'fd00:10:96::a',
  gateway: 'fe80::1',
  serviceRange: 'fd00:10:96::/112',
  loadBalancerRange: 'fd00:172:31::/112',
  link: (node, side) => `fd00:172:30:${node}::${side}`,
  linkLength: 64,
  podRange: (node) => `fd00:10:244:${node}::/64`,
  pod: (node, index) => `fd00:10:244:${node}::${(index + 2).toString(16)}`,
  service: (index) => `fd00:10:96::${(index + 256).toString(16)}`,
  loadBalancer: (index) => `fd00:172:31::${(index + 1).toString(16)}`,
}

/** 253 pods a node: what fits into a /24. */
export const podsPerNode = 253

export function addressPlan(ipFamilies: 'ipv4' | 'dual' | 'ipv6'): AddressPlan {
  const plans = ipFamilies === 'ipv4' ? [four] : ipFamilies === 'ipv6' ? [six] : [four, six]
  const of = (family: Family): FamilyPlan => (family === 'IPv4' ? four : six)
  return {
    families: plans.map((plan) => plan.family),
    apiServer: plans.map((plan) => plan.apiServer),
    apiService: plans.map((plan) => (plan.family === 'IPv4' ? '10.96.0.1' : 'fd00:10:96::1')),
    dns: plans.map((plan) => plan.dns),
    outside: plans.map((plan) => plan.outside),
    fabricSide: (node) => plans.map((plan) => `${plan.link(node, 1)}/${plan.linkLength}`),
    nodeSide: (node) => plans.map((plan) => `${plan.link(node, 2)}/${plan.linkLength}`),
    nodeIps: (node) => plans.map((plan) => plan.link(node, 2)),
    podRange: (node) => plans.map((plan) => plan.podRange(node)),
    podIps: (node, index) => plans.map((plan) => plan.pod(node, index)),
    serviceIp: (family, index) => of(family).service(index),
    loadBalancerIp: (family, index) => of(family).loadBalancer(index),
    serviceRanges: plans.map((plan) => plan.serviceRange),
    loadBalancerRanges: plans.map((plan) => plan.loadBalancerRange),
    podGateways: plans.map((plan) => plan.gateway),
  }
}

export const isV6 = (address: string): boolean => address.includes(':')
export const hostLength = (address: string): number => (isV6(address) ? 128 : 32)
