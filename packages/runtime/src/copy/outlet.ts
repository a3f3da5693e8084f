// Writes what arrives from elsewhere to a TCP socket, many pieces with one system call, and tells how much the kernel has taken.
import type net from 'node:net'

/** Pieces below this size go out at once: somebody may wait for the answer. */
const smallPiece = 8 << 10

export class Outlet {
  readonly #socket: net.Socket
  readonly #onTaken: (bytes: number) => void
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #scheduled = false
  /** Written, but not yet reported as taken. */
  #unreported = 0
  #ending = false

  /** `onTaken` is called with the bytes that have gone to the kernel since the last call. */
  constructor(socket: net.Socket, onTaken: (bytes: number) => void) {
    this.#socket = socket
    this.#onTaken = onTaken
  }

  /** The chunk must stay as it is until it is reported as taken. */
  write(chunk: Buffer): void {
    this.#pieces.push(chunk)
    this.#pieceBytes += chunk.length
    if (this.#scheduled) return
    if (chunk.length < smallPiece) this.flush()
    else {
      this.#scheduled = true
      schedule(this)
    }
  }

  /** FIN, after everything that was written. */
  end(): void {
    this.#ending = true
    if (!this.#scheduled) this.#socket.end()
  }

  flush(): void {
    this.#scheduled = false
    const socket = this.#socket
    const pieces = this.#pieces
    const bytes = this.#pieceBytes
    this.#pieces = []
    this.#pieceBytes = 0
    if (socket.destroyed) return
    if (bytes > 0) {
      this.#unreported += bytes
      socket.cork()
      let run = pieces[0]!
      for (let i = 1; i < pieces.length; i++) {
        const piece = pieces[i]!
        if (follows(run, piece)) run = Buffer.from(run.buffer, run.byteOffset, run.length + piece.length)
        else {
          socket.write(run)
          run = piece
        }
      }
      socket.write(run, this.#onWritten)
      socket.uncork()
      if (socket.writableLength === 0) this.#report()
    }
    if (this.#ending) socket.end()
  }

  readonly #onWritten = (): void => this.#report()

  #report(): void {
    const taken = this.#unreported - this.#socket.writableLength
    if (taken <= 0) return
    this.#unreported -= taken
    this.#onTaken(taken)
  }
}

/** Whether one piece begins in memory where the other ends: the pieces of one DATA frame mostly do. */
function follows(first: Buffer, second: Buffer): boolean {
  return first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset
}

let waiting: Outlet[] = []

function schedule(outlet: Outlet): void {
  if (waiting.length === 0) setImmediate(flushAll)
  waiting.push(outlet)
}

function flushAll(): void {
  const outlets = waiting
  waiting = []
  for (const outlet of outlets) outlet.flush()
}
