// Asks the kernel whether a connection exists in a namespace (sock_diag, linux/inet_diag.h), without reading its whole table.
import { type Endpoint, ipBytes } from './address.ts'
import { exchange, flags, message } from './netlink.ts'

const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const TCP = 6
/** States in which a connection's addresses are free for a new one: TIME_WAIT, and listening, which is no connection. */
const free = [6, 10]

/**
 * Whether a TCP socket of the namespace with these two ends is open. Kernels without the diagnosis module know of none: false.
 * @throws OsError when no netlink socket can be had
 */
export function hasConnection(nsFd: number | undefined, local: Endpoint, remote: Endpoint): boolean {
  const source = ipBytes(local.ip)
  const body = Buffer.alloc(56)
  body[0] = source.length === 4 ? 2 : 10
  body[1] = TCP
  body.writeUInt32LE(0xffff_ffff, 4)
  body.writeUInt16BE(local.port, 8)
  body.writeUInt16BE(remote.port, 10)
  body.set(source, 12)
  body.set(ipBytes(remote.ip), 28)
  body.fill(0xff, 48)
  const replies = exchange(nsFd, NETLINK_SOCK_DIAG, message(SOCK_DIAG_BY_FAMILY, flags.request, 1, body))
  return replies.some(({ type, body: found }) => type === SOCK_DIAG_BY_FAMILY && !free.includes(found[1] ?? 0))
}
