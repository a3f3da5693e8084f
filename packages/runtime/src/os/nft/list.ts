// What nftables a namespace has, whoever made them.
import { exchange, flags, message, NETLINK_NETFILTER } from '../netlink.ts'

export interface NftChainName {
  readonly table: string
  readonly chain: string
}

const getChain = (10 << 8) | 4
const newChain = (10 << 8) | 3
const attributes = { table: 1, chain: 3 } as const

/** The chains of all tables of all families, also those that iptables-nft has made; empty where there are none. @throws OsError */
export function listChains(nsFd: number | undefined): readonly NftChainName[] {
  // struct nfgenmsg: family 0 = all, version, resource id
  const request = message(getChain, flags.request | flags.dump, 1, Buffer.alloc(4))
  return exchange(nsFd, NETLINK_NETFILTER, request)
    .filter(({ type }) => type === newChain)
    .map(({ body }) => ({ table: textOf(body, attributes.table), chain: textOf(body, attributes.chain) }))
}

function textOf(body: Buffer, wanted: number): string {
  for (let at = 4; at + 4 <= body.length; ) {
    const length = body.readUInt16LE(at)
    if (length < 4) break
    if ((body.readUInt16LE(at + 2) & 0x3fff) === wanted) return body.toString('utf8', at + 4, at + length - 1)
    at += (length + 3) & ~3
  }
  return ''
}
