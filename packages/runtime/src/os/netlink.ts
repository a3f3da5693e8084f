// Netlink: building messages and attributes, and one request/answer exchange with the kernel. The kernel works while
// the message is being sent, so that all answers are there when sendmsg returns and nothing ever waits.

import { bindSocket, openSocket, receiveMessage, sendMessage, setOption } from './libc.ts'
import { closeFd, withNamespace } from './namespaces.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOL_NETLINK = 270

export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

export const flags = {
  request: 1,
  ack: 4,
  dump: 0x300,
  replace: 0x100,
  excl: 0x200,
  create: 0x400,
  append: 0x800,
} as const

/** One attribute: length and type, then the value, padded to four bytes. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const length = 4 + value.length
  const bytes = Buffer.alloc((length + 3) & ~3)
  bytes.writeUInt16LE(length, 0)
  bytes.writeUInt16LE(type, 2)
  bytes.set(value, 4)
  return bytes
}

/** An attribute that holds attributes (NLA_F_NESTED). */
export function nested(type: number, attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | 0x8000, Buffer.concat(attributes))
}

export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`))
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** A whole message: struct nlmsghdr, then the body. */
export function message(type: number, flag: number, sequence: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc((16 + body.length + 3) & ~3)
  bytes.writeUInt32LE(16 + body.length, 0)
  bytes.writeUInt16LE(type, 4)
  bytes.writeUInt16LE(flag, 6)
  bytes.writeUInt32LE(sequence, 8)
  bytes.set(body, 16)
  return bytes
}

export interface NetlinkReply {
  readonly type: number
  readonly sequence: number
  readonly body: Buffer
  /** For acknowledgements and errors: 0 or the errno, and the kernel's own words if it has any. */
  readonly error?: { readonly errno: number; readonly detail?: string }
}

const NLMSG_ERROR = 2
const NLMSG_DONE = 3

function readError(body: Buffer, flag: number): { errno: number; detail?: string } {
  const errno = -body.readInt32LE(0)
  // With NETLINK_CAP_ACK only the header of the failed message is echoed; attributes follow it.
  if ((flag & 0x200) === 0) return { errno }
  for (let at = 20; at + 4 <= body.length; ) {
    const length = body.readUInt16LE(at)
    if (length < 4) break
    if (body.readUInt16LE(at + 2) === 1) return { errno, detail: body.toString('utf8', at + 4, at + length - 1) }
    at += (length + 3) & ~3
  }
  return { errno }
}

function* splitReplies(bytes: Buffer): Generator<NetlinkReply> {
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    if (length < 16 || at + length > bytes.length) return
    const type = bytes.readUInt16LE(at + 4)
    const sequence = bytes.readUInt32LE(at + 8)
    const body = Buffer.from(bytes.subarray(at + 16, at + length))
    if (type === NLMSG_ERROR) yield { type, sequence, body, error: readError(body, bytes.readUInt16LE(at + 6)) }
    else if (type !== NLMSG_DONE) yield { type, sequence, body }
    at += (length + 3) & ~3
  }
}

/** Root of the machine may exceed net.core.wmem_max; root of a user namespace gets at most twice that, about 400 KiB. */
function enlargeBuffers(fd: number, size: number): void {
  try {
    setOption(fd, 1, 32, size, 'SO_SNDBUFFORCE')
    setOption(fd, 1, 33, size, 'SO_RCVBUFFORCE')
  } catch {
    setOption(fd, 1, 7, size, 'SO_SNDBUF')
    setOption(fd, 1, 8, size, 'SO_RCVBUF')
  }
}

/**
 * Sends the bytes (one or more messages) to the namespace's kernel and returns everything it answered.
 * @throws OsError EMSGSIZE if the bytes are more than the socket's buffer may hold
 */
export function exchange(nsFd: number | undefined, protocol: number, request: Buffer): readonly NetlinkReply[] {
  const fd = withNamespace(nsFd, () => openSocket(AF_NETLINK, SOCK_RAW, protocol))
  try {
    const address = Buffer.alloc(12)
    address.writeUInt16LE(AF_NETLINK, 0)
    bindSocket(fd, address, 'a netlink socket')
    setOption(fd, SOL_NETLINK, 10, 1, 'NETLINK_CAP_ACK')
    setOption(fd, SOL_NETLINK, 11, 1, 'NETLINK_EXT_ACK')
    if (request.length > 65_536) enlargeBuffers(fd, request.length * 2)
    if (!sendMessage(fd, request)) throw new Error('the netlink socket takes no more data')
    const replies: NetlinkReply[] = []
    const buffer = Buffer.alloc(65_536)
    for (let got = receiveMessage(fd, buffer); got && got.length > 0; got = receiveMessage(fd, buffer)) {
      replies.push(...splitReplies(buffer.subarray(0, got.length)))
    }
    return replies
  } finally {
    closeFd(fd)
  }
}
