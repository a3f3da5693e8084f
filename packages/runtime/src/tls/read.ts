// Reads a TLS connection into buffers of ours. node:net offers that (`onread`) only for sockets that it connects itself; a TLSSocket
// on top of an accepted socket has the same machinery inside, and this is the one place that reaches for it. Without it every 16 KiB
// of traffic are an ArrayBuffer of their own, and hundreds of megabytes a second of those keep the garbage collector busy marking
// the whole heap. Where this Node has other internals, reading falls back to that.
import net from 'node:net'
import type { TLSSocket } from 'node:tls'

export interface TlsReader {
  /** Where the next read goes; asked once after every read. */
  buffer(): Buffer
  /** The first `length` bytes of the last buffer are filled. */
  filled(length: number): void
  /** A chunk that Node has allocated: what was read before, and all there is in the fallback. */
  chunk(chunk: Buffer): void
}

interface Symbols {
  readonly buffer: symbol
  readonly generate: symbol
  readonly callback: symbol
}

let symbols: Symbols | 'missing' | undefined

function findSymbols(): Symbols | 'missing' {
  const probe = new net.Socket({
    onread: { buffer: Buffer.alloc(1), callback: () => true },
  } as net.SocketConstructorOpts)
  const named = (name: string) => Object.getOwnPropertySymbols(probe).find((symbol) => symbol.description === name)
  const [buffer, generate, callback] = [named('kBuffer'), named('kBufferGen'), named('kBufferCb')]
  probe.destroy()
  return buffer && generate && callback ? { buffer, generate, callback } : 'missing'
}

/** Starts reading a connection whose handshake is over. Ends and errors stay events of the socket. */
export function readTls(socket: TLSSocket, reader: TlsReader): void {
  symbols ??= findSymbols()
  const handle = (socket as unknown as { _handle?: { useUserBuffer?(buffer: Buffer): void } | null })._handle
  for (let early = socket.read(); early !== null; early = socket.read()) reader.chunk(early)
  if (symbols === 'missing' || typeof handle?.useUserBuffer !== 'function') {
    socket.on('data', (chunk: Buffer) => reader.chunk(chunk))
    return
  }
  const first = reader.buffer()
  const internals = socket as unknown as Record<symbol, unknown>
  internals[symbols.buffer] = first
  internals[symbols.generate] = () => reader.buffer()
  internals[symbols.callback] = (length: number) => {
    reader.filled(length)
    return true
  }
  handle.useUserBuffer(first)
  socket.resume()
}
