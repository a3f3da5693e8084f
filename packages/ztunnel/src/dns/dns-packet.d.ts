// The part of dns-packet that is used here; the package has no types of its own.
declare module 'dns-packet' {
  export interface Question {
    readonly type: string
    readonly name: string
    readonly class?: string
  }
  export interface Answer {
    readonly type: string
    readonly name: string
    readonly ttl?: number
    readonly class?: string
    readonly data?: unknown
  }
  export interface Packet {
    readonly type?: 'query' | 'response'
    readonly id?: number
    readonly flags?: number
    readonly opcode?: string
    readonly rcode?: string
    readonly questions?: readonly Question[]
    readonly answers?: readonly Answer[]
    readonly authorities?: readonly Answer[]
    readonly additionals?: readonly Answer[]
  }
  export function decode(bytes: Uint8Array): Packet
  export function encode(packet: Packet): Buffer
  export const RECURSION_DESIRED: number
  export const RECURSION_AVAILABLE: number
  export const AUTHORITATIVE_ANSWER: number
}
