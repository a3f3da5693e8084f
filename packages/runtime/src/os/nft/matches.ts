// From a rule's matches to expressions. What a rule already checked (family, protocol) is remembered, so that an
// address brings its family check along once, and a port without a protocol is an error instead of a random match.
import { u32 } from '../netlink.ts'
import {
  bitwise,
  compare,
  ctKey,
  type Expression,
  firstSmallRegister,
  loadCt,
  loadDestinationType,
  loadMeta,
  loadPayload,
  lookup,
  metaKey,
  numgenRandom,
  range,
  register1,
} from './expressions.ts'
import { type Interval, parsePrefix, portInterval, prefixInterval, prefixMask } from './keys.ts'
import type { NftCtState, NftFamily, NftField, NftMatch, NftPort } from './ruleset.ts'

/** Makes an unnamed set for a list of values and says by what lookups refer to it. */
export type NewSet = (kind: 'ipv4' | 'ipv6' | 'port', intervals: readonly Interval[]) => { name: string; id: number }

export interface RuleState {
  readonly family: NftFamily
  readonly newSet: NewSet
  ip: 4 | 6 | undefined
  protocol: number | undefined
}

const protocols = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 } as const
const states: Record<NftCtState, number> = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 }
const IPS_DST_NAT = 0x20

/** Restricts the rule to IPv4 or IPv6, once; nothing to do in tables of one family. */
export function requireFamily(state: RuleState, family: 4 | 6): Expression[] {
  if (state.ip === family) return []
  if (state.ip !== undefined) throw new Error(`the rule is about IPv${state.ip} and cannot speak of IPv${family}`)
  state.ip = family
  return [loadMeta(metaKey.nfproto), compare(Uint8Array.of(family === 4 ? 2 : 10))]
}

/** @throws Error if no match before has fixed the transport protocol */
export function requireProtocol(state: RuleState, what: string): void {
  if (state.protocol === undefined) throw new Error(`${what} needs an l4proto match before it`)
}

function loadIp(kind: 'sourceIp' | 'destinationIp', family: 4 | 6, register = register1): Expression {
  if (family === 4) return loadPayload(1, kind === 'sourceIp' ? 12 : 16, 4, register)
  return loadPayload(1, kind === 'sourceIp' ? 8 : 24, 16, register)
}

function loadPort(kind: 'sourcePort' | 'destinationPort', register = register1): Expression {
  return loadPayload(2, kind === 'sourcePort' ? 0 : 2, 2, register)
}

function matchIp(match: NftMatch & { kind: 'sourceIp' | 'destinationIp' }, state: RuleState): Expression[] {
  const prefixes = (typeof match.value === 'string' ? [match.value] : match.value).map(parsePrefix)
  const first = prefixes[0]
  if (!first) throw new Error(`${match.kind}: the list is empty`)
  const size = first.bytes.length
  if (prefixes.some((prefix) => prefix.bytes.length !== size)) throw new Error(`${match.kind}: IPv4 and IPv6 are mixed`)
  const family = size === 4 ? 4 : 6
  const load = [...requireFamily(state, family), loadIp(match.kind, family)]
  if (prefixes.length > 1) {
    const set = state.newSet(family === 4 ? 'ipv4' : 'ipv6', prefixes.map(prefixInterval))
    return [...load, lookup(set, match.negate)]
  }
  const value = prefixInterval(first).from
  const mask = first.length === size * 8 ? [] : [bitwise(prefixMask(first), new Uint8Array(size))]
  return [...load, ...mask, compare(value, match.negate)]
}

function matchPort(match: NftMatch & { kind: 'sourcePort' | 'destinationPort' }, state: RuleState): Expression[] {
  requireProtocol(state, match.kind)
  const list: readonly NftPort[] = Array.isArray(match.value) ? match.value : [match.value as NftPort]
  const [first, ...more] = list.map(portInterval)
  if (!first) throw new Error(`${match.kind}: the list is empty`)
  const load = loadPort(match.kind)
  if (more.length > 0) return [load, lookup(state.newSet('port', [first, ...more]), match.negate)]
  if (Buffer.compare(first.from, first.to) === 0) return [load, compare(first.from, match.negate)]
  return [load, range(first.from, first.to, match.negate)]
}

function matchMask(load: Expression, value: number, mask: number | undefined, negate?: boolean): Expression[] {
  const masked = mask === undefined || mask === 0xffffffff ? [] : [bitwise(u32(mask), u32(0))]
  return [load, ...masked, compare(u32(value), negate)]
}

/** True if any of the bits is set. */
function matchBits(load: Expression, bits: number, negate = false): Expression[] {
  return [load, bitwise(u32(bits), u32(0)), compare(u32(0), !negate)]
}

function interfaceName(name: string): Uint8Array {
  const wildcard = name.endsWith('*')
  const text = Buffer.from(wildcard ? name.slice(0, -1) : name)
  if (text.length === 0 || text.length > 15) throw new Error(`"${name}" is not the name of an interface`)
  if (wildcard) return text
  const padded = Buffer.alloc(16)
  text.copy(padded)
  return padded
}

/** Concatenated fields lie in consecutive small registers, each field on a four-byte boundary. */
function loadFields(fields: readonly NftField[], state: RuleState): Expression[] {
  let register = fields.length === 1 ? register1 : firstSmallRegister
  return fields.flatMap((field) => {
    if (field === 'sourcePort' || field === 'destinationPort') {
      requireProtocol(state, field)
      return [loadPort(field, register++)]
    }
    const family = state.ip
    if (family === undefined) throw new Error(`${field} in a set needs an nfproto or address match before it`)
    const load = loadIp(field, family, register)
    register += family === 4 ? 1 : 4
    return [load]
  })
}

/** The expressions of one match. @throws Error saying what is wrong with it */
export function encodeMatch(match: NftMatch, state: RuleState): Expression[] {
  switch (match.kind) {
    case 'nfproto':
      return requireFamily(state, match.value === 'ipv4' ? 4 : 6)
    case 'l4proto': {
      const protocol = typeof match.value === 'number' ? match.value : protocols[match.value]
      if (!match.negate) state.protocol = protocol
      return [loadMeta(metaKey.l4proto), compare(Uint8Array.of(protocol), match.negate)]
    }
    case 'sourceIp':
    case 'destinationIp':
      return matchIp({ ...match, kind: match.kind }, state)
    case 'sourcePort':
    case 'destinationPort':
      return matchPort({ ...match, kind: match.kind }, state)
    case 'mark':
      return matchMask(loadMeta(metaKey.mark), match.value, match.mask, match.negate)
    case 'ctMark':
      return matchMask(loadCt(ctKey.mark), match.value, match.mask, match.negate)
    case 'inInterface':
      return [loadMeta(metaKey.inInterface), compare(interfaceName(match.value), match.negate)]
    case 'outInterface':
      return [loadMeta(metaKey.outInterface), compare(interfaceName(match.value), match.negate)]
    case 'ctStatusDnat':
      return matchBits(loadCt(ctKey.status), IPS_DST_NAT, match.negate)
    case 'ctState': {
      const bits = match.value.reduce((all, state) => all | states[state], 0)
      return matchBits(loadCt(ctKey.state), bits, match.negate)
    }
    case 'numgen':
      return [numgenRandom(match.mod), compare(u32(match.value))]
    case 'skuid':
      return [loadMeta(metaKey.skuid), compare(u32(match.value), match.negate)]
    case 'inSet':
      return [...loadFields(match.fields, state), lookup({ name: match.set }, match.negate)]
    case 'destinationLocal':
      return [loadDestinationType(), compare(u32(2), match.negate)]
  }
}
