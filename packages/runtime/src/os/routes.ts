// Routes and policy rules of network namespaces over rtnetlink. Additions and deletions are idempotent.
import { maskIp, parseCidr } from '@wishbone/core/ip'
import { AF_INET, AF_INET6, ipBytes } from './address.ts'
import { requireLink } from './links.ts'
import { attribute, flags, u32 } from './netlink.ts'
import { requestRoute } from './route-netlink.ts'

const RTM = { newRoute: 24, delRoute: 25, newRule: 32, delRule: 33 } as const
const tables = { main: 254, local: 255 } as const
const types = { unicast: 1, local: 2, blackhole: 6 } as const

type Namespace = number | undefined

export interface FwmarkRule {
  readonly family: 4 | 6
  readonly mark: number
  readonly mask: number
  readonly table: number
  readonly priority: number
}

function ruleBody(rule: FwmarkRule): Buffer[] {
  // struct fib_rule_hdr: family, dst_len, src_len, tos, table, two reserved, action FR_ACT_TO_TBL, flags
  const header = Buffer.from([rule.family === 4 ? AF_INET : AF_INET6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
  return [
    header,
    attribute(6, u32(rule.priority)),
    attribute(10, u32(rule.mark)),
    attribute(16, u32(rule.mask)),
    attribute(15, u32(rule.table)),
  ]
}

function ruleName(rule: FwmarkRule): string {
  return `the IPv${rule.family} rule fwmark 0x${rule.mark.toString(16)}/0x${rule.mask.toString(16)} lookup ${rule.table}`
}

/** `ip rule add fwmark MARK/MASK pref PRIORITY lookup TABLE` (ambient wire §3.5). */
export function addFwmarkRule(nsFd: Namespace, rule: FwmarkRule): void {
  requestRoute(nsFd, {
    type: RTM.newRule,
    flags: flags.create | flags.excl,
    body: ruleBody(rule),
    about: `adding ${ruleName(rule)}`,
    ignore: ['EEXIST'],
  })
}

export function deleteFwmarkRule(nsFd: Namespace, rule: FwmarkRule): void {
  const about = `deleting ${ruleName(rule)}`
  requestRoute(nsFd, { type: RTM.delRule, body: ruleBody(rule), about, ignore: ['ENOENT'] })
}

export interface Route {
  /** A CIDR, an address, or "default" (of IPv4) / "::/0". */
  readonly dst: string
  readonly via?: string | undefined
  readonly dev?: string | undefined
  /** The gateway is on the link although no address says so. */
  readonly onlink?: boolean | undefined
  readonly table?: number | 'main' | 'local' | undefined
  readonly type?: 'unicast' | 'local' | 'blackhole' | undefined
  /** Preferred source address. */
  readonly src?: string | undefined
  readonly metric?: number | undefined
}

function destination(dst: string): { readonly ip: Uint8Array; readonly length: number } {
  if (dst === 'default') return { ip: new Uint8Array(4), length: 0 }
  if (!dst.includes('/')) {
    const ip = ipBytes(dst)
    return { ip, length: ip.length * 8 }
  }
  const cidr = parseCidr(dst)
  if (!cidr) throw new Error(`"${dst}" is not a CIDR`)
  return { ip: maskIp(cidr.address, cidr.length), length: cidr.length }
}

function routeBody(nsFd: Namespace, route: Route): Buffer[] {
  const { ip, length } = destination(route.dst)
  const type = route.type ?? 'unicast'
  const table = typeof route.table === 'string' ? tables[route.table] : (route.table ?? tables.main)
  const scope = type === 'local' ? 254 : type === 'unicast' && route.via === undefined && ip.length === 4 ? 253 : 0
  // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
  const header = Buffer.alloc(12)
  header.set([ip.length === 4 ? AF_INET : AF_INET6, length, 0, 0, table < 256 ? table : 0, 4, scope, types[type]])
  header.writeUInt32LE(route.onlink ? 4 : 0, 8)
  const body = [header, attribute(15, u32(table))]
  if (length > 0) body.push(attribute(1, ip))
  if (route.via !== undefined) {
    const via = ipBytes(route.via)
    // RTA_VIA: a gateway of the other family, e.g. IPv4 over an IPv6 next hop.
    if (via.length === ip.length) body.push(attribute(5, via))
    else body.push(attribute(18, Buffer.concat([Buffer.from([via.length === 4 ? AF_INET : AF_INET6, 0]), via])))
  }
  if (route.dev !== undefined) body.push(attribute(4, u32(requireLink(nsFd, route.dev))))
  if (route.src !== undefined) body.push(attribute(7, ipBytes(route.src)))
  if (route.metric !== undefined) body.push(attribute(6, u32(route.metric)))
  return body
}

/** Adds the route, or replaces the one of the same destination, table and metric. */
export function addRoute(nsFd: Namespace, route: Route): void {
  requestRoute(nsFd, {
    type: RTM.newRoute,
    flags: flags.create | flags.replace,
    body: routeBody(nsFd, route),
    about: `adding the route to ${route.dst}`,
    ignore: ['EEXIST'],
  })
}

export function deleteRoute(nsFd: Namespace, route: Route): void {
  const about = `deleting the route to ${route.dst}`
  requestRoute(nsFd, { type: RTM.delRoute, body: routeBody(nsFd, route), about, ignore: ['ESRCH'] })
}

export interface LocalRoute {
  readonly family: 4 | 6
  readonly table: number
  /** Default lo. */
  readonly dev?: string | undefined
}

function everything(route: LocalRoute): Route {
  return { dst: route.family === 4 ? '0.0.0.0/0' : '::/0', dev: route.dev ?? 'lo', table: route.table, type: 'local' }
}

/** `ip route add local default dev lo table TABLE`: whatever looks up this table is delivered here (ambient wire §3.5). */
export function addLocalRoute(nsFd: Namespace, route: LocalRoute): void {
  addRoute(nsFd, everything(route))
}

export function deleteLocalRoute(nsFd: Namespace, route: LocalRoute): void {
  deleteRoute(nsFd, everything(route))
}
