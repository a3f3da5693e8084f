// The expressions of the kernel's rule machine that rules are made of (linux/netfilter/nf_tables.h). Attribute numbers
// are big-endian; register contents are as the packet or the kernel has them.
import { attribute, nested, text, u32be } from '../netlink.ts'

/** NFT_REG_1 and NFT_REG_2, 16 bytes each; a concatenated key lies in the four-byte registers from 8 on. */
export const register1 = 1
export const register2 = 2
export const firstSmallRegister = 8

export const metaKey = { mark: 3, inInterface: 6, outInterface: 7, skuid: 10, nfproto: 15, l4proto: 16 } as const
export const ctKey = { state: 0, status: 2, mark: 3, zone: 17 } as const

export type Expression = Buffer

function expression(name: string, attributes: readonly Buffer[]): Expression {
  return nested(1, [text(1, name), nested(2, attributes)])
}

const number = (type: number, value: number) => attribute(type, u32be(value))
const data = (type: number, value: Uint8Array) => nested(type, [attribute(1, value)])

export const loadMeta = (key: number) => expression('meta', [number(2, key), number(1, register1)])
export const storeMeta = (key: number) => expression('meta', [number(2, key), number(3, register1)])
export const loadCt = (key: number) => expression('ct', [number(2, key), number(1, register1)])
export const storeCt = (key: number) => expression('ct', [number(2, key), number(4, register1)])
/** The zone of one direction of the connection: 0 original, 1 reply. */
export const storeCtZone = (direction: 0 | 1) =>
  expression('ct', [number(2, ctKey.zone), attribute(3, Buffer.from([direction])), number(4, register1)])

/** base 1 = network header, 2 = transport header */
export function loadPayload(base: 1 | 2, offset: number, length: number, register = register1): Expression {
  return expression('payload', [number(1, register), number(2, base), number(3, offset), number(4, length)])
}

export function compare(value: Uint8Array, negate = false): Expression {
  return expression('cmp', [number(1, register1), number(2, negate ? 1 : 0), data(3, value)])
}

/** register1 = (register1 & mask) ^ xor */
export function bitwise(mask: Uint8Array, xor: Uint8Array): Expression {
  return expression('bitwise', [
    number(1, register1),
    number(2, register1),
    number(3, mask.length),
    data(4, mask),
    data(5, xor),
  ])
}

export function range(from: Uint8Array, to: Uint8Array, negate = false): Expression {
  return expression('range', [number(1, register1), number(2, negate ? 1 : 0), data(3, from), data(4, to)])
}

export function lookup(set: { readonly name: string; readonly id?: number }, negate = false): Expression {
  const attributes = [text(1, set.name), number(2, register1)]
  if (set.id !== undefined) attributes.push(number(4, set.id))
  if (negate) attributes.push(number(5, 1))
  return expression('lookup', attributes)
}

export function immediate(value: Uint8Array, register = register1): Expression {
  return expression('immediate', [number(1, register), data(2, value)])
}

/** code: 0 drop, 1 accept, -3 jump, -5 return */
export function verdict(code: number, chain?: string): Expression {
  const parts = [number(1, code)]
  if (chain !== undefined) parts.push(text(2, chain))
  return expression('immediate', [number(1, 0), nested(2, [nested(2, parts)])])
}

export function numgenRandom(modulus: number): Expression {
  return expression('numgen', [number(1, register1), number(2, modulus), number(3, 1), number(4, 0)])
}

/** register1 = type of the destination address (2 = local) */
export const loadDestinationType = () => expression('fib', [number(1, register1), number(2, 3), number(3, 2)])

/** The address is in register1, the port, if any, in register2. family: 2 = IPv4, 10 = IPv6 */
export function nat(type: 'snat' | 'dnat', family: 2 | 10, withPort: boolean): Expression {
  const attributes = [number(1, type === 'snat' ? 0 : 1), number(2, family), number(3, register1)]
  if (withPort) attributes.push(number(5, register2))
  return expression('nat', attributes)
}

/** To the port in register1. */
export const redirect = () => expression('redir', [number(1, register1)])
export const masquerade = () => expression('masq', [])
export const counter = () => expression('counter', [])

/** TCP reset, or (default) port unreachable in either family. */
export function reject(reset: boolean): Expression {
  return expression('reject', reset ? [number(1, 1)] : [number(1, 2), attribute(2, Buffer.from([1]))])
}
