// Where things are: the checkout, the cache, and where the image keeps the checkout's files.
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** The folder of the image in which the checkout's packages lie as they do here. */
export const home = 'opt/wishbone'

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wishbone')

/** A folder of the cache, made if absent. */
export function cacheFolder(...names: readonly string[]): string {
  const folder = join(cache, 'image', ...names)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** The architecture as Debian and OCI name it. */
export const architecture = ((): 'amd64' | 'arm64' => {
  if (process.arch === 'x64') return 'amd64'
  if (process.arch === 'arm64') return 'arm64'
  throw new Error(`no image for ${process.arch}: Wishbone supports amd64 and arm64`)
})()
