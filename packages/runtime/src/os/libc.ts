// The one file that calls native code (node:ffi): system calls that Node has no form for, and libuv's poll handle.
// Thin by intention: numbers and buffers in, numbers out; errors are thrown as OsError. Everything here is
// synchronous and belongs to the calling thread. Constants are Linux's for x86-64 and arm64, which agree.
import * as ffi from 'node:ffi'
import { OsError } from './errors.ts'

const { lib, functions: c } = ffi.dlopen(null, {
  __errno_location: { return: 'pointer', arguments: [] },
  setns: { return: 'int32', arguments: ['int32', 'int32'] },
  unshare: { return: 'int32', arguments: ['int32'] },
  mount: { return: 'int32', arguments: ['string', 'string', 'pointer', 'uint64', 'pointer'] },
  umount2: { return: 'int32', arguments: ['string', 'int32'] },
  fcntl: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'buffer', 'uint32'] },
  connect: { return: 'int32', arguments: ['int32', 'buffer', 'uint32'] },
  listen: { return: 'int32', arguments: ['int32', 'int32'] },
  accept4: { return: 'int32', arguments: ['int32', 'pointer', 'pointer', 'int32'] },
  setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'] },
  getsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'] },
  getsockname: { return: 'int32', arguments: ['int32', 'buffer', 'buffer'] },
  sendmsg: { return: 'int64', arguments: ['int32', 'buffer', 'int32'] },
  recvmsg: { return: 'int64', arguments: ['int32', 'buffer', 'int32'] },
  if_nametoindex: { return: 'uint32', arguments: ['string'] },
  uv_handle_size: { return: 'uint64', arguments: ['int32'] },
  uv_poll_init: { return: 'int32', arguments: ['pointer', 'pointer', 'int32'] },
  uv_poll_start: { return: 'int32', arguments: ['pointer', 'int32', 'pointer'] },
  uv_poll_stop: { return: 'int32', arguments: ['pointer'] },
  uv_close: { return: 'void', arguments: ['pointer', 'pointer'] },
  uv_ref: { return: 'void', arguments: ['pointer'] },
  uv_unref: { return: 'void', arguments: ['pointer'] },
})

// errno is per thread, and so is this module.
const errnoAddress = c.__errno_location()

/** The error of the call that has just failed. */
function failed(call: string, about: string): OsError {
  return new OsError(ffi.getInt32(errnoAddress, 0), call, about)
}

function check(result: number, call: string, about: string): number {
  if (result < 0) throw failed(call, about)
  return result
}

/** Moves the calling thread into a network namespace; returns 0 or the errno, for the caller that must not throw. */
export function setNetworkNamespace(fd: number): number {
  return c.setns(fd, 0x4000_0000) === 0 ? 0 : ffi.getInt32(errnoAddress, 0)
}

/** Moves the calling thread into a new network namespace. */
export function unshareNetwork(): void {
  check(c.unshare(0x4000_0000), 'unshare', 'a new network namespace')
}

/** Mounts `source` over the existing file or folder `target` (MS_BIND). */
export function bindMount(source: string, target: string): void {
  check(c.mount(source, target, 0n, 4096n, 0n), 'mount', `${source} on ${target}`)
}

/** Detaches a mount (MNT_DETACH). */
export function unmount(target: string): void {
  check(c.umount2(target, 2), 'umount2', target)
}

/** A second descriptor of the same open file, close-on-exec. */
export function duplicate(fd: number): number {
  return check(c.fcntl(fd, 1030 /* F_DUPFD_CLOEXEC */, 0), 'fcntl', `duplicating descriptor ${fd}`)
}

/** A socket that is close-on-exec and non-blocking. */
export function openSocket(domain: number, type: number, protocol: number): number {
  return check(c.socket(domain, type | 0o4000 | 0o2000000, protocol), 'socket', `domain ${domain}, type ${type}`)
}

export function bindSocket(fd: number, address: Buffer, about: string): void {
  check(c.bind(fd, address, address.length), 'bind', about)
}

/** connect(2) as it is: for local sockets, which connect at once. */
export function connectSocket(fd: number, address: Buffer, about: string): void {
  check(c.connect(fd, address, address.length), 'connect', about)
}

export function listenSocket(fd: number, backlog: number, about: string): void {
  check(c.listen(fd, backlog), 'listen', about)
}

/** The next connection, non-blocking and close-on-exec; undefined if there is none. */
export function acceptSocket(fd: number): number | undefined {
  const accepted = c.accept4(fd, 0n, 0n, 0o4000 | 0o2000000)
  if (accepted >= 0) return accepted
  const error = failed('accept4', `descriptor ${fd}`)
  if (error.code === 'EAGAIN' || error.code === 'ECONNABORTED' || error.code === 'EINTR') return undefined
  throw error
}

const option = Buffer.alloc(4)

/** Sets an option whose value is an int. */
export function setOption(fd: number, level: number, name: number, value: number, about: string): void {
  option.writeInt32LE(value)
  check(c.setsockopt(fd, level, name, option, 4), 'setsockopt', about)
}

// struct sock_fprog (length, address) of one instruction: BPF_RET | BPF_K, whose constant is the answer.
const program = Buffer.alloc(16)
const instruction = Buffer.alloc(8)

/** Lets the group of SO_REUSEPORT sockets that this one is in hand everything new to the socket at `index` (SO_ATTACH_REUSEPORT_CBPF). */
export function selectReusePort(fd: number, index: number): void {
  instruction.writeUInt16LE(0x06, 0)
  instruction.writeUInt32LE(index, 4)
  program.writeUInt16LE(1, 0)
  program.writeBigUInt64LE(ffi.getRawPointer(instruction), 8)
  check(c.setsockopt(fd, 1, 51, program, 16), 'setsockopt', `SO_ATTACH_REUSEPORT_CBPF ${index}`)
}

const optionLength = Buffer.alloc(4)

/** Reads an option into `into`; false if the call fails (for options whose absence is an answer). */
export function readOption(fd: number, level: number, name: number, into: Buffer): boolean {
  optionLength.writeInt32LE(into.length)
  return c.getsockopt(fd, level, name, into, optionLength) === 0
}

/** The local address of a socket, as a sockaddr. */
export function localAddress(fd: number): Buffer {
  const address = Buffer.alloc(128)
  optionLength.writeInt32LE(address.length)
  check(c.getsockname(fd, address, optionLength), 'getsockname', `descriptor ${fd}`)
  return address.subarray(0, optionLength.readInt32LE())
}

/** Index of an interface in the present namespace; 0 if there is none of that name. */
export function interfaceIndex(name: string): number {
  return c.if_nametoindex(name)
}

// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
const header = Buffer.alloc(56)
const vector = Buffer.alloc(16)
const vectorAddress = ffi.getRawPointer(vector)
const control = Buffer.alloc(64)
const controlAddress = ffi.getRawPointer(control)
const noBytes = Buffer.alloc(1)

function fillHeader(data: Buffer, name: Buffer | undefined, controlLength: number): void {
  const bytes = data.length === 0 ? noBytes : data
  vector.writeBigUInt64LE(ffi.getRawPointer(bytes), 0)
  vector.writeBigUInt64LE(BigInt(data.length), 8)
  header.fill(0)
  header.writeBigUInt64LE(name ? ffi.getRawPointer(name) : 0n, 0)
  header.writeUInt32LE(name?.length ?? 0, 8)
  header.writeBigUInt64LE(vectorAddress, 16)
  header.writeBigUInt64LE(1n, 24)
  header.writeBigUInt64LE(controlLength > 0 ? controlAddress : 0n, 32)
  header.writeBigUInt64LE(BigInt(controlLength), 40)
}

/**
 * Sends one message, with a descriptor (SCM_RIGHTS) if one is given. Never raises SIGPIPE, never blocks.
 * @returns false if the socket's buffer is full
 */
export function sendMessage(fd: number, data: Buffer, passed?: number): boolean {
  if (passed !== undefined) {
    control.fill(0)
    control.writeBigUInt64LE(20n, 0)
    control.writeInt32LE(1, 8)
    control.writeInt32LE(1, 12)
    control.writeInt32LE(passed, 16)
  }
  fillHeader(data, undefined, passed === undefined ? 0 : 24)
  if (c.sendmsg(fd, header, 0x4000 | 0x40) >= 0n) return true
  const error = failed('sendmsg', `descriptor ${fd}`)
  if (error.code === 'EAGAIN') return false
  throw error
}

export interface ReceivedMessage {
  readonly length: number
  /** The message was longer than the buffer. */
  readonly truncated: boolean
  /** Descriptors that came with it; they belong to the caller, who must close them. */
  readonly descriptors: readonly number[]
}

/**
 * Receives one message into `into` without blocking; undefined if there is none. With `from` it is filled with the
 * sender's address, and no descriptors are expected (packet sockets refuse the flag that makes them close-on-exec).
 */
export function receiveMessage(fd: number, into: Buffer, from?: Buffer): ReceivedMessage | undefined {
  control.fill(0)
  fillHeader(into, from, control.length)
  const length = Number(c.recvmsg(fd, header, from ? 0x40 : 0x40 | 0x4000_0000))
  if (length < 0) {
    const error = failed('recvmsg', `descriptor ${fd}`)
    if (error.code === 'EAGAIN' || error.code === 'EINTR') return undefined
    throw error
  }
  return {
    length,
    truncated: (header.readInt32LE(48) & 0x20) !== 0,
    descriptors: readDescriptors(Number(header.readBigUInt64LE(40))),
  }
}

function readDescriptors(controlLength: number): readonly number[] {
  if (controlLength < 16) return []
  const descriptors: number[] = []
  for (let at = 0; at + 16 <= controlLength; ) {
    const length = Number(control.readBigUInt64LE(at))
    if (length < 16) break
    if (control.readInt32LE(at + 8) === 1 && control.readInt32LE(at + 12) === 1) {
      for (let i = at + 16; i + 4 <= at + length && i + 4 <= controlLength; i += 4) {
        descriptors.push(control.readInt32LE(i))
      }
    }
    at += (length + 7) & ~7
  }
  return descriptors
}

/** Watches one descriptor for readability; see watch.ts. */
interface Watched {
  readonly memory: Buffer
  readonly onReadable: () => void
  queued: boolean
  closed: boolean
}

const pollKind = 8
const watched = new Map<bigint, Watched>()
let callbacks: { readonly ready: bigint; readonly closed: bigint } | undefined

/** libuv calls these on this thread's loop. They must not throw, and JavaScript's own turn begins only with setImmediate. */
function pollCallbacks() {
  if (callbacks) return callbacks
  const ready = lib.registerCallback({ arguments: ['pointer', 'int32', 'int32'], return: 'void' }, (handle) => {
    const watch = watched.get(handle as bigint)
    if (!watch || watch.closed || watch.queued) return
    watch.queued = true
    setImmediate(() => {
      watch.queued = false
      if (!watch.closed) watch.onReadable()
    })
  })
  const closed = lib.registerCallback({ arguments: ['pointer'], return: 'void' }, (handle) => {
    watched.delete(handle as bigint)
  })
  // The loop runs once more while the thread is taken down; by then there is no JavaScript to call, and the loop of a
  // worker must have no handle left. The map keeps the memory until then.
  process.on('exit', () => {
    for (const [handle, watch] of watched) {
      if (watch.closed) continue
      watch.closed = true
      c.uv_poll_stop(handle)
      c.uv_close(handle, 0n)
    }
  })
  callbacks = { ready, closed }
  return callbacks
}

export interface Watch {
  /** Ends the watch at once; close the descriptor afterwards, never before. */
  close(): void
  ref(): void
  unref(): void
}

/**
 * Calls `onReadable` in a turn of its own whenever the descriptor can be read or its peer is gone, as long as that is
 * so (level-triggered). Only one watch per open file and loop, and no other libuv handle on the same descriptor.
 */
export function watchReadable(fd: number, onReadable: () => void): Watch {
  const { ready, closed } = pollCallbacks()
  const memory = Buffer.alloc(Number(c.uv_handle_size(pollKind)))
  const handle = ffi.getRawPointer(memory)
  const loop = ffi.getCurrentEventLoop()
  const status = c.uv_poll_init(loop, handle, fd)
  if (status < 0) throw new OsError(-status, 'uv_poll_init', `descriptor ${fd}`)
  const watch: Watched = { memory, onReadable, queued: false, closed: false }
  watched.set(handle, watch)
  c.uv_poll_start(handle, 1 | 4, ready)
  return {
    close() {
      if (watch.closed) return
      watch.closed = true
      c.uv_poll_stop(handle)
      c.uv_close(handle, closed)
    },
    ref: () => {
      if (!watch.closed) c.uv_ref(handle)
    },
    unref: () => {
      if (!watch.closed) c.uv_unref(handle)
    },
  }
}
