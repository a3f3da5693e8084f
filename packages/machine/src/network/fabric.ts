// The simulated networks: the fabric (this process's own namespace: routers, API server, DNS, "outside"), a namespace per node
// with a link to the fabric, a namespace per pod with a link to its node. Nothing has an uplink.
import { createHash } from 'node:crypto'
import {
  addAddress,
  addNeighbour,
  addRoute,
  applyRules,
  closeFd,
  createVeth,
  type NftRuleset,
  newNamespace,
  setSysctl,
  setUp,
} from '@wishbone/runtime/os'
import { type AddressPlan, hostLength, isV6, podsPerNode } from './plan.ts'

/** A network namespace held open by this process; `path` opens it for others of the sandbox. */
export interface Netns {
  readonly fd: number
  readonly path: string
}

export interface PodLink extends Netns {
  readonly ips: readonly string[]
  /** Sets a kernel parameter of the pod's namespace; throws when there is none of this name. */
  setSysctl(name: string, value: string): void
  close(): void
}

export interface NodeNetwork extends Netns {
  readonly index: number
  readonly ips: readonly string[]
  connectPod(): PodLink
  applyRules(rules: NftRuleset): void
}

const podMac = '02:00:00:00:00:02'
const gatewayMac = '02:00:00:00:00:01'

function hold(fd: number): Netns {
  return { fd, path: `/proc/${process.pid}/fd/${fd}` }
}

/** Settings of a namespace that forwards. A missing key (no IPv6 in the kernel) is no error. */
function forwarding(fd: number | undefined): void {
  for (const [key, value] of [
    ['net.ipv4.ip_forward', '1'],
    // A packet outside the tracked window is still translated, as on nodes where kube-proxy is told so.
    ['net.netfilter.nf_conntrack_tcp_be_liberal', '1'],
    ['net.ipv4.conf.all.rp_filter', '0'],
    ['net.ipv4.conf.default.rp_filter', '0'],
    ['net.ipv6.conf.all.forwarding', '1'],
    ['net.ipv6.conf.default.accept_dad', '0'],
    ['net.ipv6.conf.all.accept_dad', '0'],
  ] as const) {
    trySysctl(fd, key, value)
  }
}

function trySysctl(fd: number | undefined, key: string, value: string): void {
  try {
    setSysctl(fd, key, value)
  } catch {}
}

/** Brings up the fabric's own addresses. */
export function setUpFabric(plan: AddressPlan): void {
  forwarding(undefined)
  setUp(undefined, 'lo')
  for (const ip of [...plan.apiServer, ...plan.apiService, ...plan.dns, ...plan.outside])
    addAddress(undefined, 'lo', `${ip}/${hostLength(ip)}`)
}

function nodeRoutes(plan: AddressPlan, index: number, name: string, fd: number): void {
  for (const [family, range] of plan.podRange(index).entries()) {
    const via = plan.nodeIps(index)[family]
    if (via) addRoute(undefined, { dst: range, via, dev: name })
  }
  for (const cidr of plan.fabricSide(index)) {
    const via = cidr.slice(0, cidr.indexOf('/'))
    addRoute(fd, { dst: isV6(via) ? '::/0' : '0.0.0.0/0', via, dev: 'eth0' })
  }
}

/** A node's namespace with its link. Node 1 also receives what goes to LoadBalancer addresses. */
export function createNode(plan: AddressPlan, index: number, options: { readonly ipv6InPods: boolean }): NodeNetwork {
  const netns = hold(newNamespace())
  const name = `node${index}`
  forwarding(netns.fd)
  createVeth({ nameA: name, nsA: undefined, nameB: 'eth0', nsB: netns.fd })
  setUp(netns.fd, 'lo')
  for (const cidr of plan.fabricSide(index)) addAddress(undefined, name, cidr)
  for (const cidr of plan.nodeSide(index)) addAddress(netns.fd, 'eth0', cidr)
  setUp(undefined, name)
  setUp(netns.fd, 'eth0')
  nodeRoutes(plan, index, name, netns.fd)
  if (index === 1) {
    for (const [family, range] of plan.loadBalancerRanges.entries()) {
      const via = plan.nodeIps(1)[family]
      if (via) addRoute(undefined, { dst: range, via, dev: name })
    }
  }
  const used = new Set<number>()
  // An address rests for a while after its pod has gone, so that late packets reach nobody.
  const allocate = (): number => {
    for (let candidate = 0; candidate < podsPerNode; candidate++) if (!used.has(candidate)) return candidate
    throw new Error(`node ${index} has no address left: it has ${podsPerNode} pods`)
  }
  return {
    ...netns,
    index,
    ips: plan.nodeIps(index),
    applyRules: (rules) => applyRules(netns.fd, rules),
    connectPod() {
      const slot = allocate()
      used.add(slot)
      return connectPod(plan, netns.fd, index, slot, options, () => setTimeout(() => used.delete(slot), 10_000).unref())
    },
  }
}

function connectPod(
  plan: AddressPlan,
  node: number,
  index: number,
  slot: number,
  options: { readonly ipv6InPods: boolean },
  release: () => void,
): PodLink {
  const ips = plan.podIps(index, slot)
  const pod = hold(newNamespace())
  const name = `pod${createHash('sha256').update(ips.join()).digest('hex').slice(0, 10)}`
  trySysctl(pod.fd, 'net.ipv6.conf.default.accept_dad', '0')
  trySysctl(pod.fd, 'net.ipv6.conf.all.accept_dad', '0')
  createVeth({ nameA: name, nsA: node, nameB: 'eth0', nsB: pod.fd, macA: gatewayMac, macB: podMac })
  setUp(pod.fd, 'lo')
  if (!options.ipv6InPods) trySysctl(pod.fd, 'net.ipv6.conf.all.disable_ipv6', '1')
  for (const ip of ips) addAddress(pod.fd, 'eth0', `${ip}/${hostLength(ip)}`)
  trySysctl(node, `net.ipv4.conf.${name}.rp_filter`, '0')
  setUp(node, name)
  setUp(pod.fd, 'eth0')
  for (const [family, ip] of ips.entries()) {
    const gateway = plan.podGateways[family]
    if (!gateway) continue
    // Fixed neighbours on both sides: nobody has to ask who has an address.
    addNeighbour(pod.fd, { ip: gateway, mac: gatewayMac, dev: 'eth0' })
    addNeighbour(node, { ip, mac: podMac, dev: name })
    addRoute(pod.fd, { dst: isV6(ip) ? '::/0' : '0.0.0.0/0', via: gateway, dev: 'eth0', onlink: true, src: ip })
    const src = plan.nodeIps(index)[family]
    addRoute(node, { dst: `${ip}/${hostLength(ip)}`, dev: name, ...(src ? { src } : {}) })
  }
  let open = true
  return {
    ...pod,
    ips,
    setSysctl: (sysctl, value) => setSysctl(pod.fd, sysctl, value),
    close() {
      if (!open) return
      open = false
      // The link goes with its namespace, once nobody holds that any more.
      closeFd(pod.fd)
      release()
    },
  }
}
