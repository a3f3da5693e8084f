// nftables rules as plain data: what applyRules can put into a network namespace.

export type NftFamily = 'inet' | 'ip' | 'ip6'
export type NftHook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'

/** One table. Applying it replaces the table of that family and name as a whole, in one step. */
export interface NftRuleset {
  readonly family: NftFamily
  readonly table: string
  readonly chains: readonly NftChain[]
  readonly sets?: readonly NftSet[]
}

/** With a hook it is a base chain (then `type` and `priority` count, default filter 0); without one it is a jump target. */
export interface NftChain {
  readonly name: string
  readonly hook?: NftHook
  readonly type?: 'filter' | 'nat' | 'route'
  readonly priority?: number
  readonly policy?: 'accept' | 'drop'
  readonly rules: readonly NftRule[]
}

/** All matches must hold; then the actions run in order. */
export interface NftRule {
  readonly match: readonly NftMatch[]
  readonly action: NftAction | readonly NftAction[]
  readonly comment?: string
}

/** A named set whose elements can be changed without replacing the table. */
export interface NftSet {
  readonly name: string
  /** One kind of key, or several for a concatenation such as (ip . port). */
  readonly key: readonly NftKeyKind[]
  readonly elements?: readonly NftElement[]
}

export type NftKeyKind = 'ipv4' | 'ipv6' | 'port'

export interface NftElement {
  /** One value per kind of the set's key. */
  readonly key: readonly (string | number)[]
  readonly comment?: string
}

export type NftPort = number | { readonly from: number; readonly to: number }
export type NftField = 'sourceIp' | 'destinationIp' | 'sourcePort' | 'destinationPort'

/**
 * An address restricts the rule to the address's own family, negated or not, as `ip daddr` does in nft. Ports need an
 * l4proto match before them. Interface names may end in "*". Masks apply to the packet's value before it is compared.
 */
export type NftMatch =
  | { readonly kind: 'nfproto'; readonly value: 'ipv4' | 'ipv6' }
  | { readonly kind: 'l4proto'; readonly value: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | number; readonly negate?: boolean }
  | {
      readonly kind: 'sourceIp' | 'destinationIp'
      /** An address, a CIDR, or a list of them of one family. */
      readonly value: string | readonly string[]
      readonly negate?: boolean
    }
  | {
      readonly kind: 'sourcePort' | 'destinationPort'
      readonly value: NftPort | readonly NftPort[]
      readonly negate?: boolean
    }
  | { readonly kind: 'mark' | 'ctMark'; readonly value: number; readonly mask?: number; readonly negate?: boolean }
  | { readonly kind: 'inInterface' | 'outInterface'; readonly value: string; readonly negate?: boolean }
  | { readonly kind: 'ctStatusDnat'; readonly negate?: boolean }
  | { readonly kind: 'ctState'; readonly value: readonly NftCtState[]; readonly negate?: boolean }
  /** True with a chance of 1 in `mod` (for `value` 0 … mod-1, drawn anew by each rule). */
  | { readonly kind: 'numgen'; readonly mod: number; readonly value: number }
  /** The user of the local socket; false for packets without one, negated or not. */
  | { readonly kind: 'skuid'; readonly value: number; readonly negate?: boolean }
  /** The fields, concatenated, are in a named set of this table. */
  | { readonly kind: 'inSet'; readonly set: string; readonly fields: readonly NftField[]; readonly negate?: boolean }
  /** The destination is an address of this namespace (fib daddr type local). */
  | { readonly kind: 'destinationLocal'; readonly negate?: boolean }

export type NftCtState = 'invalid' | 'established' | 'related' | 'new' | 'untracked'

export type NftAction =
  | { readonly kind: 'accept' | 'drop' | 'return' | 'masquerade' | 'reject' | 'counter' }
  | { readonly kind: 'jump'; readonly chain: string }
  | { readonly kind: 'redirect'; readonly port: number }
  | { readonly kind: 'dnat'; readonly ip: string; readonly port?: number }
  | { readonly kind: 'snat'; readonly ip: string }
  /** The bits of the mask become those of the value; without a mask all do. */
  | { readonly kind: 'setMark' | 'setCtMark'; readonly value: number; readonly mask?: number }
  /** The packet's mark becomes the connection's mark, restricted to the mask's bits (default all). */
  | { readonly kind: 'restoreMarkFromCt'; readonly mask?: number }
  /** With `direction` only that direction's addresses are in the zone, those of the other one in the default zone 0. */
  | { readonly kind: 'ctZone'; readonly zone: number; readonly direction?: 'original' | 'reply' }
