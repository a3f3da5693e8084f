// From a rule's actions to expressions.
import { ipBytes } from '../address.ts'
import { u32 } from '../netlink.ts'
import {
  bitwise,
  counter,
  ctKey,
  type Expression,
  immediate,
  loadCt,
  loadMeta,
  masquerade,
  metaKey,
  nat,
  redirect,
  register2,
  reject,
  storeCt,
  storeCtZone,
  storeMeta,
  verdict,
} from './expressions.ts'
import { portBytes } from './keys.ts'
import { type RuleState, requireFamily, requireProtocol } from './matches.ts'
import type { NftAction } from './ruleset.ts'

const TCP = 6

/** The new value into register1: all of it, or the mask's bits of the old one replaced. */
function newMark(load: Expression, value: number, mask: number | undefined): Expression[] {
  if (mask === undefined || mask >>> 0 === 0xffffffff) return [immediate(u32(value))]
  return [load, bitwise(u32(~mask), u32(value & mask))]
}

function encodeNat(type: 'snat' | 'dnat', ip: string, port: number | undefined, state: RuleState): Expression[] {
  const bytes = ipBytes(ip)
  const family = bytes.length === 4 ? 4 : 6
  const expressions = [...requireFamily(state, family), immediate(bytes)]
  if (port !== undefined) {
    requireProtocol(state, `${type} to a port`)
    expressions.push(immediate(portBytes(port), register2))
  }
  return [...expressions, nat(type, family === 4 ? 2 : 10, port !== undefined)]
}

/** The expressions of one action. @throws Error saying what is wrong with it */
export function encodeAction(action: NftAction, state: RuleState): Expression[] {
  switch (action.kind) {
    case 'accept':
      return [verdict(1)]
    case 'drop':
      return [verdict(0)]
    case 'return':
      return [verdict(-5)]
    case 'jump':
      return [verdict(-3, action.chain)]
    case 'redirect':
      requireProtocol(state, 'redirect')
      return [immediate(portBytes(action.port)), redirect()]
    case 'dnat':
      return encodeNat('dnat', action.ip, action.port, state)
    case 'snat':
      return encodeNat('snat', action.ip, undefined, state)
    case 'masquerade':
      return [masquerade()]
    case 'reject':
      return [reject(state.protocol === TCP)]
    case 'counter':
      return [counter()]
    case 'setMark':
      return [...newMark(loadMeta(metaKey.mark), action.value, action.mask), storeMeta(metaKey.mark)]
    case 'setCtMark':
      return [...newMark(loadCt(ctKey.mark), action.value, action.mask), storeCt(ctKey.mark)]
    case 'restoreMarkFromCt': {
      const mask = action.mask === undefined ? [] : [bitwise(u32(action.mask), u32(0))]
      return [loadCt(ctKey.mark), ...mask, storeMeta(metaKey.mark)]
    }
    case 'ctZone': {
      const zone = Buffer.alloc(2)
      zone.writeUInt16LE(action.zone)
      if (action.direction === undefined) return [immediate(zone), storeCt(ctKey.zone)]
      return [immediate(zone), storeCtZone(action.direction === 'original' ? 0 : 1)]
    }
  }
}
