// Writes log text to a descriptor without waiting for its reader and without throwing: text is gathered per turn of
// the event loop and written with one non-blocking write. A reader that is gone (EPIPE) or slow (EAGAIN) or a full disk
// (ENOSPC) costs lines, never the program: beyond the limit, and until it can be written again, lines are dropped and counted.
import fs from 'node:fs'
import net from 'node:net'

export interface Sink {
  write(text: string): void
  /** Writes what is left now; for the end of the process. Gives up on a stuck reader after 200 ms. */
  flush(): void
  /** Lines that a slow or absent reader has cost so far. */
  readonly dropped: number
}

const limitCharacters = 8 << 20
const retryMs = 10
/** After what is no matter of waiting for the reader. */
const retryFailedMs = 1_000
const flushBudgetMs = 200
const newline = 10

/**
 * A descriptor for the same place whose writes do not block. Pipes are opened anew, so that other holders of the
 * descriptor notice nothing; a socket can't be, but becomes non-blocking when libuv takes it up. Files and terminals
 * stay as they are: they block no longer than a disk or an operator does.
 */
function withoutBlocking(fd: number): { readonly fd: number; readonly holder?: net.Socket } {
  try {
    const stat = fs.fstatSync(fd)
    if (stat.isFIFO()) {
      return { fd: fs.openSync(`/proc/self/fd/${fd}`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK) }
    }
    if (stat.isSocket()) {
      const holder = new net.Socket({ fd, readable: false, writable: true })
      holder.on('error', () => {})
      holder.unref()
      return { fd, holder }
    }
  } catch {
    // E.g. a pipe of another user: then writes may wait for its reader, as they do in most programs.
  }
  return { fd }
}

class FileSink implements Sink {
  readonly #target: ReturnType<typeof withoutBlocking>
  #pending: string[] = []
  #pendingCharacters = 0
  /** The rest of what has been written in part. */
  #rest: Buffer | undefined
  #isInLine = false
  #scheduled = false
  #broken = false
  #dropped = 0
  /** How many of these a line has told that was written. */
  #reported = 0
  /** The same once what is being written has been. */
  #reporting = 0

  constructor(fd: number) {
    this.#target = withoutBlocking(fd)
    process.on('exit', () => this.flush())
  }

  get dropped(): number {
    return this.#dropped
  }

  write(text: string): void {
    if (this.#broken || this.#pendingCharacters > limitCharacters) {
      this.#dropped++
      return
    }
    this.#pending.push(text)
    this.#pendingCharacters += text.length
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    if (this.#writeAll()) this.#scheduled = false
    else setTimeout(() => this.#turn(), retryMs).unref()
  }

  #take(): Buffer | undefined {
    if (this.#pending.length === 0) return undefined
    if (this.#dropped > this.#reported) {
      this.#pending.push(
        `${this.#dropped - this.#reported} log lines were dropped because their reader is slow or gone\n`,
      )
      this.#reporting = this.#dropped
    }
    // What could not be written to its end is a line of its own.
    const chunk = Buffer.from(`${this.#isInLine ? '\n' : ''}${this.#pending.join('')}`)
    this.#pending = []
    this.#pendingCharacters = 0
    return chunk
  }

  /** True if nothing is left to write; false if the reader has to catch up first. */
  #writeAll(): boolean {
    for (;;) {
      this.#rest ??= this.#take()
      const rest = this.#rest
      if (!rest || this.#broken) return true
      try {
        const written = fs.writeSync(this.#target.fd, rest)
        this.#isInLine = rest[written - 1] !== newline
        this.#rest = written < rest.length ? rest.subarray(written) : undefined
        if (this.#rest === undefined) this.#reported = this.#reporting
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code
        if (code === 'EAGAIN') return false
        if (code === 'EINTR') continue
        this.#onFailure(rest)
      }
    }
  }

  /** Lines that come meanwhile are not gathered: who knows for how long. */
  #onFailure(lost: Buffer): void {
    this.#broken = true
    setTimeout(() => {
      this.#broken = false
    }, retryFailedMs).unref()
    this.#dropped += this.#pending.length
    for (let at = lost.indexOf(newline); at >= 0; at = lost.indexOf(newline, at + 1)) this.#dropped++
    // The line that told of others is none of theirs, and has told nobody.
    if (this.#reporting > this.#reported) this.#dropped--
    this.#reporting = this.#reported
    this.#rest = undefined
    this.#pending = []
    this.#pendingCharacters = 0
  }

  flush(): void {
    const deadline = performance.now() + flushBudgetMs
    while (!this.#writeAll() && performance.now() < deadline) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
    }
  }
}

let standardOutput: Sink | undefined

/** A sink on an open descriptor (1 = standard output, of which there is one: two would write into each other's lines). */
export function createSink(fd = 1): Sink {
  if (fd !== 1) return new FileSink(fd)
  standardOutput ??= new FileSink(fd)
  return standardOutput
}
