// The names of chains that legacy iptables has made in a namespace; nftables do not show them.
import fs from 'node:fs'
import { openSocket, readOption } from './libc.ts'
import { closeFd, withNamespace } from './namespaces.ts'

const SOCK_RAW = 3
const IPPROTO_RAW = 255
const families = [
  { domain: 2, level: 0, tables: '/proc/thread-self/net/ip_tables_names' },
  { domain: 10, level: 41, tables: '/proc/thread-self/net/ip6_tables_names' },
] as const
const GET_INFO = 64
const GET_ENTRIES = 65
/** struct ipt_getinfo: name[32], valid_hooks, hook_entry[5], underflow[5], num_entries, size */
const infoLength = 84
/** struct ipt_get_entries: name[32], size, padding; then the entries */
const entriesAt = 40

/** Names, as far as they can be told from other text in the tables: words of capitals, digits and _ with an underscore in them. */
export function legacyChains(nsFd: number | undefined): readonly string[] {
  return withNamespace(nsFd, () =>
    families.flatMap((family) => tablesOf(family.tables).flatMap((name) => chainsOf(family, name))),
  )
}

/** Only tables that are in use: to ask for another one would make it. */
function tablesOf(path: string): readonly string[] {
  try {
    return fs.readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

function chainsOf({ domain, level }: (typeof families)[number], table: string): readonly string[] {
  const fd = openSocket(domain, SOCK_RAW, IPPROTO_RAW)
  try {
    const info = Buffer.alloc(infoLength)
    info.write(table, 0, 31, 'latin1')
    if (!readOption(fd, level, GET_INFO, info)) return []
    const size = info.readUInt32LE(80)
    const entries = Buffer.alloc(entriesAt + size)
    entries.write(table, 0, 31, 'latin1')
    entries.writeUInt32LE(size, 32)
    if (!readOption(fd, level, GET_ENTRIES, entries)) return []
    return entries.toString('latin1', entriesAt).match(/[A-Z][A-Z0-9]*_[A-Z0-9_]+/g) ?? []
  } finally {
    closeFd(fd)
  }
}
