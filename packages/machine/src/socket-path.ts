// Unix sockets in folders with long names: the kernel takes 107 bytes of path, so a long one goes through a descriptor of its folder.
import { mkdirSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const folders = new Map<string, number>()

/** A path under which this process, and only this one, can listen on or connect to the socket at `path`. */
export function socketPath(path: string): string {
  if (Buffer.byteLength(path) <= 107) return path
  const folder = dirname(path)
  let descriptor = folders.get(folder)
  if (descriptor === undefined) {
    mkdirSync(folder, { recursive: true })
    descriptor = openSync(folder, 'r')
    folders.set(folder, descriptor)
  }
  return join(`/proc/self/fd/${descriptor}`, basename(path))
}
