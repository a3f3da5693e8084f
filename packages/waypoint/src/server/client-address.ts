// Who the client is, where proxies that we trust stand in front: each of them has appended to X-Forwarded-For the address
// that it saw, so the last of them to be trusted names the client.
import { canonicalIp, type IpBytes, parseIp } from '@wishbone/core/ip'

/** `hops`: proxies in front that are trusted, the connection's other end being the first. Pure. */
export function clientAddress(connected: IpBytes, forwardedFor: string | undefined, hops: number): IpBytes {
  if (hops === 0 || forwardedFor === undefined) return connected
  const entries = forwardedFor.split(',')
  // A shorter list than there are hops was begun by the first of them.
  const entry = entries[Math.max(0, entries.length - hops)]!.trim()
  const bare = /^\[(.*)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry
  const parsed = parseIp(bare)
  // What cannot be read names nobody: the proxy itself is then the client, as it is without the header.
  return parsed === undefined ? connected : canonicalIp(parsed)
}
