// A container's output: each line with the time it came, in one file per start, rotated by size.
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  watch,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import type { LogRequest } from './access.ts'

const maxBytes = 32 * 1024 * 1024

export interface LogWriter {
  write(chunk: Buffer): void
  close(): void
}

export function openLog(path: string): LogWriter {
  mkdirSync(dirname(path), { recursive: true })
  let file = openSync(path, 'a', 0o600)
  let size = statSync(path).size
  let partial = ''
  const put = (lines: readonly string[]): void => {
    const stamp = new Date().toISOString()
    const text = lines.map((line) => `${stamp} ${line}\n`).join('')
    size += writeSync(file, text)
    if (size < maxBytes) return
    closeSync(file)
    renameSync(path, `${path}.1`)
    file = openSync(path, 'a', 0o600)
    size = 0
  }
  return {
    write(chunk) {
      const lines = (partial + chunk.toString('utf8')).split('\n')
      partial = lines.pop() ?? ''
      // A line without an end is not kept for ever.
      if (partial.length > 1_000_000) {
        lines.push(partial)
        partial = ''
      }
      if (lines.length > 0) put(lines)
    },
    close() {
      if (partial) put([partial])
      partial = ''
      closeSync(file)
    },
  }
}

function select(text: string, request: LogRequest): string {
  let lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (request.sinceSeconds !== undefined) {
    const since = new Date(Date.now() - request.sinceSeconds * 1000).toISOString()
    lines = lines.filter((line) => line.slice(0, 24) >= since)
  }
  if (request.tailLines !== undefined) lines = request.tailLines === 0 ? [] : lines.slice(-request.tailLines)
  return shown(lines, request)
}

function shown(lines: readonly string[], request: LogRequest): string {
  return lines.map((line) => `${request.timestamps ? line : line.slice(25)}\n`).join('')
}

/** The log so far and, with `follow`, what comes until `isOver` or the request's signal. */
export function readLog(path: string, request: LogRequest, isOver: () => boolean): Readable {
  const older = existsSync(`${path}.1`) ? readFileSync(`${path}.1`, 'utf8') : ''
  const now = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const text = select(older + now, request)
  const limited =
    request.limitBytes === undefined ? text : Buffer.from(text).subarray(0, request.limitBytes).toString('utf8')
  if (!request.follow || !existsSync(path)) return Readable.from([limited])
  return follow(path, Buffer.byteLength(now), limited, request, isOver)
}

function follow(path: string, from: number, first: string, request: LogRequest, isOver: () => boolean): Readable {
  let offset = from
  let partial = ''
  const stream = new Readable({ read() {} })
  stream.push(first)
  let reading = false
  const more = (): void => {
    if (reading || stream.destroyed) return
    reading = true
    const size = existsSync(path) ? statSync(path).size : offset
    if (size < offset) offset = 0
    const part = createReadStream(path, { start: offset, encoding: 'utf8' })
    part.on('data', (chunk) => {
      offset += Buffer.byteLength(chunk)
      const lines = (partial + chunk).split('\n')
      partial = lines.pop() ?? ''
      if (lines.length > 0) stream.push(shown(lines, request))
    })
    part.on('error', () => {})
    part.on('close', () => {
      reading = false
      if (isOver() && (!existsSync(path) || statSync(path).size <= offset)) finish()
    })
  }
  const watcher = watch(path, more)
  watcher.on('error', () => {})
  const timer = setInterval(more, 500)
  const finish = (): void => {
    clearInterval(timer)
    watcher.close()
    if (!stream.destroyed) stream.push(null)
  }
  stream.on('close', finish)
  request.signal?.addEventListener('abort', finish, { once: true })
  more()
  return stream
}
