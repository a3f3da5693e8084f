// The files of a folder of this machine as entries of an image.
import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry } from './entry.ts'

/** Every file and link under `from` that `wanted` takes (given its path below `from`), at `path` in the image. */
export function folderEntries(from: string, path: string, wanted: (below: string) => boolean = () => true): Entry[] {
  const entries: Entry[] = []
  const visit = (below: string): void => {
    for (const name of readdirSync(join(from, below)).sort()) {
      const inner = below === '' ? name : `${below}/${name}`
      if (!wanted(inner)) continue
      const source = join(from, inner)
      const status = lstatSync(source)
      if (status.isDirectory()) visit(inner)
      else if (status.isSymbolicLink())
        entries.push({ kind: 'link', path: `${path}/${inner}`, target: readlinkSync(source) })
      else if (status.isFile())
        entries.push({
          kind: 'copy',
          path: `${path}/${inner}`,
          from: source,
          executable: (status.mode & 0o100) !== 0,
        })
    }
  }
  visit('')
  return entries.map((entry) => (path === '' ? { ...entry, path: entry.path.slice(1) } : entry))
}
