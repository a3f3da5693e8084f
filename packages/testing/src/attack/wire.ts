// HTTP/2 by hand, for attackers: any bytes at any time, and what the other end made of them. It shares no code with the
// programs that it attacks.
import net from 'node:net'
import tls from 'node:tls'

export interface Credentials {
  readonly key: string
  readonly chain: string
}

export interface Seen {
  /** The other end closed the connection. */
  closed: boolean
  /** Code and text of the last GOAWAY. */
  goaway: string | undefined
  /** Statuses by stream. */
  readonly statuses: Record<number, number>
  /** Codes of RST_STREAM by stream. */
  readonly resets: Record<number, number>
  /** Bytes of DATA by stream. */
  readonly data: Record<number, string>
  error: string | undefined
}

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

/** A literal field without indexing or Huffman (RFC 7541 §6.2.2). */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length: number[] = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

export function block(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(fields).map(([name, value]) => literal(name, value)))
}

export const settings = frame(4, 0, 0)

export function connect(stream: number, authority: string, flags = 0x4): Buffer {
  return frame(1, flags, stream, block({ ':method': 'CONNECT', ':authority': authority }))
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** One connection to a port that speaks HTTP/2 over mesh TLS. */
export class Wire {
  readonly seen: Seen = { closed: false, goaway: undefined, statuses: {}, resets: {}, data: {}, error: undefined }
  readonly #socket: net.Socket
  #rest: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined

  constructor(socket: net.Socket) {
    this.#socket = socket
    socket.on('error', (cause) => {
      this.seen.error = (cause as NodeJS.ErrnoException).code ?? cause.message
    })
    socket.on('close', () => {
      this.seen.closed = true
      this.#wake?.()
    })
    socket.on('end', () => {
      this.seen.closed = true
      this.#wake?.()
    })
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
  }

  send(...parts: readonly Uint8Array[]): this {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(parts))
    return this
  }

  /** Waits until `done` says so, the connection is closed, or the time is over. */
  async until(done: (seen: Seen) => boolean, timeoutMs = 3_000): Promise<Seen> {
    const end = Date.now() + timeoutMs
    while (!this.seen.closed && !done(this.seen) && Date.now() < end) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, 50)
      })
    }
    return this.seen
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): number {
    return this.#socket.writableLength
  }

  pause(): void {
    this.#socket.pause()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #received(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < 9 + length) break
      this.#frame(this.#rest[3]!, this.#rest.readUInt32BE(5), this.#rest.subarray(9, 9 + length))
      this.#rest = this.#rest.subarray(9 + length)
    }
    this.#wake?.()
  }

  #frame(type: number, stream: number, payload: Buffer): void {
    const { seen } = this
    if (type === 0) seen.data[stream] = (seen.data[stream] ?? '') + payload.toString('latin1')
    else if (type === 1) seen.statuses[stream] = statusOf(payload)
    else if (type === 3) seen.resets[stream] = payload.readUInt32BE(0)
    else if (type === 7) seen.goaway = `${payload.readUInt32BE(4)} ${payload.subarray(8).toString()}`
  }
}

const indexed: Readonly<Record<number, number>> = {
  136: 200,
  137: 204,
  138: 206,
  139: 304,
  140: 400,
  141: 404,
  142: 500,
}

/** Our servers put :status first and code it plainly; a table size update may stand before it. */
function statusOf(payload: Buffer): number {
  const start = payload[0] === 0x20 ? 1 : 0
  return indexed[payload[start]!] ?? Number(/\d{3}/.exec(payload.subarray(start).toString('latin1'))?.[0] ?? 0)
}

export interface DialOptions {
  readonly credentials?: Credentials
  readonly alpn?: readonly string[]
  readonly version?: tls.SecureVersion
}

/** Connects and hands over after the handshake; a refused handshake shows in `seen`. Servers are not checked: attackers don't. */
export async function dial(
  host: string,
  port: number,
  { credentials, alpn = ['h2'], version }: DialOptions,
): Promise<Wire> {
  const socket = tls.connect({
    host,
    port,
    rejectUnauthorized: false,
    ALPNProtocols: [...alpn],
    ...(credentials && { key: credentials.key, cert: credentials.chain }),
    ...(version && { minVersion: version, maxVersion: version }),
  })
  const wire = new Wire(socket)
  await Promise.race([
    new Promise((resolve) => socket.once('secureConnect', resolve)),
    new Promise((resolve) => socket.once('close', resolve)),
    new Promise((resolve) => setTimeout(resolve, 3_000)),
  ])
  return wire
}

/** Plain TCP: sends the bytes, gives back what came until the other end closes or the time is over. */
export async function exchange(
  host: string,
  port: number,
  bytes: Uint8Array,
  timeoutMs = 2_000,
): Promise<{ closed: boolean; text: string }> {
  const socket = net.connect({ host, port })
  let text = ''
  let closed = false
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  socket.write(bytes)
  await Promise.race([
    new Promise<void>((resolve) =>
      socket.once('close', () => {
        closed = true
        resolve()
      }),
    ),
    new Promise<void>((resolve) =>
      socket.once('end', () => {
        closed = true
        resolve()
      }),
    ),
    new Promise((resolve) => setTimeout(resolve, timeoutMs)),
  ])
  socket.destroy()
  return { closed, text }
}
