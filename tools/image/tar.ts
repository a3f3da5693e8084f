// Writes tar archives whose bytes depend on the content only: sorted, owned by root, dated 1970.
// POSIX ustar with pax headers for names that do not fit. It does not read archives.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { complete, type Entry, modeOf } from './entry.ts'

export interface Blob {
  readonly file: string
  /** `sha256:` and hexadecimal. */
  readonly digest: string
  readonly size: number
}

const block = 512
const typeOf = { folder: '5', copy: '0', text: '0', link: '2' } as const

/** Writes the entries, and the folders above them, to `file`: whole or not at all. */
export function writeTar(file: string, entries: readonly Entry[]): Blob {
  const partial = `${file}.${process.pid}`
  const descriptor = openSync(partial, 'w')
  const hash = createHash('sha256')
  let size = 0
  const put = (bytes: Uint8Array): void => {
    hash.update(bytes)
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done)
    size += bytes.length
  }
  for (const entry of complete(entries)) {
    const content = contentOf(entry)
    put(headersOf(entry, content.length))
    put(content)
    put(padding(content.length))
  }
  put(new Uint8Array(2 * block))
  closeSync(descriptor)
  renameSync(partial, file)
  return { file, digest: `sha256:${hash.digest('hex')}`, size }
}

function contentOf(entry: Entry): Uint8Array {
  if (entry.kind === 'copy') return readFileSync(entry.from)
  if (entry.kind === 'text') return Buffer.from(entry.text)
  return new Uint8Array()
}

function padding(length: number): Uint8Array {
  return new Uint8Array((block - (length % block)) % block)
}

function headersOf(entry: Entry, size: number): Uint8Array {
  const path = entry.kind === 'folder' ? `${entry.path}/` : entry.path
  const target = entry.kind === 'link' ? entry.target : ''
  const records = (path.length > 100 ? pax('path', path) : '') + (target.length > 100 ? pax('linkpath', target) : '')
  const header = ustar(path.slice(0, 100), target.slice(0, 100), modeOf(entry), size, typeOf[entry.kind])
  if (records === '') return header
  const body = Buffer.from(records)
  return Buffer.concat([ustar('pax', '', 0o644, body.length, 'x'), body, padding(body.length), header])
}

/** One pax record; its length counts its own digits. */
function pax(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + 1
  while (String(length).length + rest !== length) length++
  return `${length} ${key}=${value}\n`
}

function ustar(path: string, target: string, mode: number, size: number, type: string): Buffer {
  const header = Buffer.alloc(block)
  const octal = (value: number, at: number, width: number): void =>
    void header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at)
  header.write(path, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  header.write('        ', 148)
  header.write(type, 156)
  header.write(target, 157)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
