// SOCK_SEQPACKET unix sockets with descriptor passing: what ZDS runs on (ambient wire §3.4). Whole packets, in order.
import fs from 'node:fs'
import { AF_UNIX, encodeUnixAddress } from './address.ts'
import {
  acceptSocket,
  bindSocket,
  connectSocket,
  listenSocket,
  openSocket,
  receiveMessage,
  sendMessage,
  type Watch,
  watchReadable,
} from './libc.ts'
import { closeFd } from './namespaces.ts'

const SOCK_SEQPACKET = 5
const packetLimit = 65_536
const acceptPauseMs = 1000
const received = Buffer.alloc(packetLimit)

export interface Packet {
  readonly data: Buffer
  /** Descriptors that came with the packet; whoever takes the packet closes them. */
  readonly descriptors: readonly number[]
}

export interface PacketHandlers {
  readonly onPacket: (packet: Packet) => void
  /** Once, when the peer is gone, the connection failed or close() was called. */
  readonly onClose: (error?: Error) => void
}

/** One connection. States: open → closed. */
export class SeqpacketConnection {
  readonly #fd: number
  readonly #handlers: PacketHandlers
  readonly #watch: Watch
  #closed = false

  constructor(fd: number, handlers: PacketHandlers) {
    this.#fd = fd
    this.#handlers = handlers
    this.#watch = watchReadable(fd, () => this.#read())
  }

  get closed(): boolean {
    return this.#closed
  }

  #read(): void {
    while (!this.#closed) {
      let message: ReturnType<typeof receiveMessage>
      try {
        message = receiveMessage(this.#fd, received)
      } catch (cause) {
        this.close(cause as Error)
        return
      }
      if (!message) return
      const { length, truncated, descriptors } = message
      if (length === 0 && descriptors.length === 0) {
        this.close()
        return
      }
      if (truncated) {
        for (const fd of descriptors) closeFd(fd)
        this.close(new Error(`the peer sent a packet of more than ${packetLimit} bytes`))
        return
      }
      this.#handlers.onPacket({ data: Buffer.from(received.subarray(0, length)), descriptors })
    }
  }

  /** Sends one packet, with a descriptor if given (it stays the caller's). @throws OsError; Error if the peer does not read */
  send(data: Buffer, descriptor?: number): void {
    if (this.#closed) throw new Error('the connection is closed')
    if (!sendMessage(this.#fd, data, descriptor)) throw new Error('the peer does not read: its buffer is full')
  }

  close(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#watch.close()
    closeFd(this.#fd)
    this.#handlers.onClose(error)
  }
}

/** Connects at once or throws: ENOENT or ECONNREFUSED (nobody listens), EAGAIN (queue full). */
export function connectSeqpacket(path: string, handlers: PacketHandlers): SeqpacketConnection {
  const fd = openSocket(AF_UNIX, SOCK_SEQPACKET, 0)
  try {
    connectSocket(fd, encodeUnixAddress(path), path)
    return new SeqpacketConnection(fd, handlers)
  } catch (cause) {
    closeFd(fd)
    throw cause
  }
}

export interface SeqpacketListener {
  close(): void
}

/**
 * Listens on the path, taking the place of whatever socket was there (a predecessor that still runs keeps its
 * connections). `onAccept` gets the descriptor of each connection and owns it.
 */
export function listenSeqpacket(path: string, onAccept: (fd: number) => void): SeqpacketListener {
  const fd = openSocket(AF_UNIX, SOCK_SEQPACKET, 0)
  let watch: Watch | undefined
  let pause: NodeJS.Timeout | undefined
  let closed = false
  const start = () => {
    watch = watchReadable(fd, () => {
      try {
        while (!closed) {
          const next = acceptSocket(fd)
          if (next === undefined) return
          onAccept(next)
        }
      } catch {
        // No descriptor left (EMFILE): the connection stays in the queue; trying at once would spin.
        watch?.close()
        pause = setTimeout(start, acceptPauseMs)
      }
    })
  }
  let inode: bigint
  try {
    // Bound beside the path and renamed onto it: there is no moment without a socket.
    const fresh = `${path}.${process.pid}`
    fs.rmSync(fresh, { force: true })
    bindSocket(fd, encodeUnixAddress(fresh), path)
    listenSocket(fd, 16, path)
    fs.chmodSync(fresh, 0o600)
    inode = fs.statSync(fresh, { bigint: true }).ino
    fs.renameSync(fresh, path)
    start()
  } catch (cause) {
    closeFd(fd)
    throw cause
  }
  return {
    close() {
      if (closed) return
      closed = true
      clearTimeout(pause)
      watch?.close()
      closeFd(fd)
      // A successor may have put its own socket there.
      const present = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
      if (present?.ino === inode) fs.rmSync(path, { force: true })
    },
  }
}
