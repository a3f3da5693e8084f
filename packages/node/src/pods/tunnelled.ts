// Which connections of a pod ztunnel still carries, read from the kernel's table of sockets: it needs no word of ztunnel's.
import { readFileSync } from 'node:fs'
import { formatIp, ipKey, parseIp } from '@wishbone/core/ip'
import { ports } from '@wishbone/core/names'
import { withNamespace } from '@wishbone/runtime/os'

export interface SocketRow {
  readonly localIp: string
  readonly localPort: number
  readonly remoteIp: string
  readonly listening: boolean
}

/**
 * Counts what would break if the pod's proxy went away: captured outbound connections, captured plaintext, and connections
 * that were made to the application in a client's name. Idle tunnels do not count: they are closed by GOAWAY.
 */
export function countTunnelled(nsFd: number, podIps: readonly string[]): number {
  const rows = withNamespace(nsFd, () => [
    ...readTable('/proc/thread-self/net/tcp'),
    ...readTable('/proc/thread-self/net/tcp6'),
  ])
  return carried(rows, podIps).length
}

/** The rows that count. Pure. */
export function carried(rows: readonly SocketRow[], podIps: readonly string[]): readonly SocketRow[] {
  const own = new Set(podIps.map((ip) => ipKey(parseIp(ip) ?? new Uint8Array(4))))
  return rows.filter((row) => {
    if (row.listening) return false
    if (row.localPort === ports.outbound || row.localPort === ports.inboundPlaintext) return true
    const foreign = !own.has(row.localIp) && !row.localIp.startsWith('127.') && row.localIp !== '::1'
    return foreign && own.has(row.remoteIp)
  })
}

/** Parses /proc/net/tcp or tcp6. TIME_WAIT and closed sockets are left out. Pure. */
export function parseSocketTable(text: string): readonly SocketRow[] {
  const rows: SocketRow[] = []
  for (const line of text.split('\n').slice(1)) {
    const [, local, remote, state] = line.trim().split(/\s+/)
    if (local === undefined || remote === undefined || state === undefined || state === '06' || state === '07') continue
    const [localIp, localPort] = parseEnd(local)
    const [remoteIp] = parseEnd(remote)
    rows.push({ localIp, localPort, remoteIp, listening: state === '0A' })
  }
  return rows
}

/** "0100007F:1F90": 32-bit words in the order of the host, which is little-endian on all that we run on. */
function parseEnd(text: string): readonly [ip: string, port: number] {
  const colon = text.indexOf(':')
  const bytes = Buffer.from(text.slice(0, colon), 'hex')
  bytes.swap32()
  return [ipKey(parseIp(formatIp(bytes))!), Number.parseInt(text.slice(colon + 1), 16)]
}

function readTable(path: string): readonly SocketRow[] {
  try {
    return parseSocketTable(readFileSync(path, 'utf8'))
  } catch {
    return []
  }
}
