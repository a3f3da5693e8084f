// Asks the kernel whether a connection exists in a namespace (sock_diag, linux/inet_diag.h), without reading its whole table.
import { AF_INET, AF_INET6, type Endpoint, ipBytes } from './address.ts'
import { exchange, flags, message } from './netlink.ts'

const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const TCP = 6
const LISTEN = 10
/** States in which a connection's addresses are free for a new one: TIME_WAIT, and listening, which is no connection. */
const free = [6, LISTEN]

/** struct inet_diag_req_v2 */
function query(family: 4 | 6, states: number, ports: { local: number; remote: number }): Buffer {
  const body = Buffer.alloc(56)
  body[0] = family === 4 ? AF_INET : AF_INET6
  body[1] = TCP
  body.writeUInt32LE(states >>> 0, 4)
  body.writeUInt16BE(ports.local, 8)
  body.writeUInt16BE(ports.remote, 10)
  body.fill(0xff, 48)
  return body
}

/**
 * Whether a TCP socket of the namespace with these two ends is open. Kernels without the diagnosis module know of none: false.
 * @throws OsError when no netlink socket can be had
 */
export function hasConnection(nsFd: number | undefined, local: Endpoint, remote: Endpoint): boolean {
  const source = ipBytes(local.ip)
  const body = query(source.length === 4 ? 4 : 6, 0xffff_ffff, { local: local.port, remote: remote.port })
  body.set(source, 12)
  body.set(ipBytes(remote.ip), 28)
  const replies = exchange(nsFd, NETLINK_SOCK_DIAG, message(SOCK_DIAG_BY_FAMILY, flags.request, 1, body))
  return replies.some(({ type, body: found }) => type === SOCK_DIAG_BY_FAMILY && !free.includes(found[1] ?? 0))
}

/**
 * How many sockets of the namespace listen on the TCP port. Kernels without the diagnosis module know of none: 0.
 * @throws OsError when no netlink socket can be had
 */
export function countListeners(nsFd: number | undefined, port: number): number {
  let count = 0
  for (const family of [4, 6] as const) {
    const body = query(family, 1 << LISTEN, { local: port, remote: 0 })
    const request = message(SOCK_DIAG_BY_FAMILY, flags.request | flags.dump, 1, body)
    for (const { type } of exchange(nsFd, NETLINK_SOCK_DIAG, request)) if (type === SOCK_DIAG_BY_FAMILY) count++
  }
  return count
}
