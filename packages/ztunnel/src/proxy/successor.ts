// Whether another ztunnel listens in a pod's namespace too: the kernel's table of sockets says it, whoever it is.
import { readFileSync } from 'node:fs'
import { ports } from '@wishbone/core/names'
import { withNamespace } from '@wishbone/runtime/os'

/** True when there is more than one listener for HBONE: ours, and that of the ztunnel that takes over. */
export function hasSuccessor(nsFd: number): boolean {
  const tables = withNamespace(nsFd, () => ['/proc/thread-self/net/tcp', '/proc/thread-self/net/tcp6'].map(read))
  return tables.reduce((sum, table) => sum + countListeners(table, ports.hbone), 0) > 1
}

/** Listening sockets of a port in the text of /proc/net/tcp or tcp6. Pure. */
export function countListeners(table: string, port: number): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let count = 0
  for (const line of table.split('\n')) {
    const [, local, , state] = line.trim().split(/\s+/)
    if (state === '0A' && local?.endsWith(end)) count++
  }
  return count
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
