// Moves a connected TCP socket's handle into a new net.Socket that reads into a buffer of ours. node:net takes such a buffer only
// when a socket is made, and neither servers nor `connectIn` make them that way. This is the one place that touches `_handle`.
import net from 'node:net'

export interface AdoptOptions {
  /** Read buffer, or where to get the next one from; it is asked after every read. */
  readonly buffer: Uint8Array | (() => Uint8Array)
  /** So many bytes stand at the beginning of the buffer, until this returns. False stops reading until `resume`. */
  read(length: number): boolean
}

export interface AdoptedSocket {
  /** Half-open, paused (call `resume`), without delay; destroyed if the old one was gone. */
  readonly socket: net.Socket
  /** What the old socket had read already; comes before everything that `read` is given. */
  readonly early: Buffer
}

interface Internals {
  _handle: unknown
  /** The net.Server that counts the connection until it is destroyed. */
  _server: unknown
}

/** Takes over `socket`, which is not to be used afterwards: it emits nothing more. */
export function adoptSocket(socket: net.Socket, options: AdoptOptions): AdoptedSocket {
  const old = socket as unknown as Internals
  const early = takeEarly(socket)
  if (socket.destroyed || !old._handle) {
    const dead = new net.Socket()
    dead.destroy()
    return { socket: dead, early }
  }
  const handle = old._handle
  old._handle = null
  const { buffer } = options
  const adopted = new net.Socket({
    handle,
    allowHalfOpen: true,
    onread: { buffer, callback: (length: number) => options.read(length) },
  } as unknown as net.SocketConstructorOpts)
  ;(adopted as unknown as Internals)._server = old._server
  old._server = null
  adopted.setNoDelay(true)
  return { socket: adopted, early }
}

function takeEarly(socket: net.Socket): Buffer {
  const chunks: Buffer[] = []
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk)
  return Buffer.concat(chunks)
}
