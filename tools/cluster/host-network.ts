// The host's side of the cluster's network: a bridge with the nodes' cables, routes, and the guard that keeps packets in.
import { applyRules } from '../../packages/runtime/src/os/index.ts'
import { guardRules, guardTable } from './guard.ts'
import { conflictsOf } from './ranges.ts'
import type { Made, Records } from './records.ts'
import { type NodeSettings, network, nodes, ranges } from './settings.ts'
import { attempt, ClusterError, run } from './shell.ts'

const ip = (text: string): string => run(['ip', ...text.split(' ')])

/** @throws ClusterError when the machine already uses one of the cluster's ranges or names */
export function checkHostNetwork(): void {
  const addresses = JSON.parse(ip('-j -4 addr')) as { addr_info: { local: string; prefixlen: number }[] }[]
  const routes = JSON.parse(ip('-j -4 route show table all')) as { dst: string; gateway?: string }[]
  const used = [
    ...addresses.flatMap(({ addr_info }) => addr_info.map(({ local }) => local)),
    ...routes.flatMap(({ dst, gateway = [] }) => [dst, gateway].flat()),
  ]
  const conflicts = conflictsOf(used, ranges)
  if (conflicts.length > 0)
    throw new ClusterError(
      `this machine's network already uses addresses of the cluster (${ranges.join(', ')}): ${conflicts.join(', ')}; ` +
        `see 'ip address' and 'ip route'`,
    )
}

/** Everything that does not depend on a node: the guard first, so that nothing is ever without it. */
export function makeHostNetwork(records: Records): void {
  records.add({ kind: 'table', family: 'inet', table: guardTable })
  applyRules(undefined, guardRules(network.bridge, ranges))
  // Where a more specific route is gone, packets must not follow the default route.
  for (const range of ranges) addRoute(records, `blackhole ${range} metric 4096`)
  setSysctl(records, 'net.ipv4.ip_forward', '1')
  setSysctl(records, 'fs.inotify.max_user_instances', '8192')
  setSysctl(records, 'fs.inotify.max_user_watches', '1048576')
  records.add({ kind: 'link', name: network.bridge })
  ip(`link add ${network.bridge} type bridge`)
  ip(`addr add ${network.hostIp}/24 dev ${network.bridge}`)
  ip(`link set ${network.bridge} up`)
  for (const node of nodes) {
    addRoute(records, `${node.podCidr} via ${node.ip}`)
    records.add({ kind: 'route', route: loadBalancerRoute(node) })
  }
}

function addRoute(records: Records, route: string): void {
  records.add({ kind: 'route', route })
  ip(`route replace ${route}`)
}

function setSysctl(records: Records, key: string, set: string): void {
  const before = run(['sysctl', '-n', key]).trim()
  if (Number(before) >= Number(set)) return
  records.add({ kind: 'sysctl', key, before, set })
  run(['sysctl', '-qw', `${key}=${set}`])
}

/** Lays a node's cable; its other end is `eth0` in the network namespace of `pid`. */
export function connectNode(records: Records, node: NodeSettings, pid: number): void {
  records.add({ kind: 'link', name: node.link })
  attempt(['ip', 'link', 'del', node.link])
  ip(`link add ${node.link} type veth peer name eth0 netns ${pid}`)
  ip(`link set ${node.link} master ${network.bridge} up`)
}

const loadBalancerRoute = (node: NodeSettings): string => `${network.loadBalancers} via ${node.ip}`

/** Sends the load balancers' addresses to the first node that lives; without one they are unreachable. */
export function routeLoadBalancers(living: readonly NodeSettings[]): void {
  const [first] = living
  if (first !== undefined) ip(`route replace ${loadBalancerRoute(first)}`)
  else for (const node of nodes) attempt(['ip', 'route', 'del', ...loadBalancerRoute(node).split(' ')])
}

/** Removes one thing of the network if it is there. */
export function unmakeNetwork(made: Made): void {
  switch (made.kind) {
    case 'link':
      attempt(['ip', 'link', 'del', made.name])
      break
    case 'route':
      attempt(['ip', 'route', 'del', ...made.route.split(' ')])
      break
    case 'table':
      applyRules(undefined, [], [{ family: made.family, table: made.table }])
      break
    case 'sysctl':
      if (run(['sysctl', '-n', made.key]).trim() === made.set) run(['sysctl', '-qw', `${made.key}=${made.before}`])
      break
  }
}
