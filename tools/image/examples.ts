// The images that the examples' manifests name: each images.yaml says what local command a name stands for, and here it
// becomes the command of an image with the examples in the same places.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import type { ImageSettings } from './oci.ts'
import { checkout, home } from './place.ts'

interface ImagesFile {
  readonly images: Readonly<
    Record<
      string,
      {
        readonly command: readonly string[]
        readonly workingDir?: string
        readonly env?: Readonly<Record<string, string>>
      }
    >
  >
}

/** Every image name of the examples with its settings, in order of the names. */
export function exampleImages(): readonly { readonly name: string; readonly settings: ImageSettings }[] {
  const images: { name: string; settings: ImageSettings }[] = []
  for (const file of globSync('examples/*/**/images.yaml', { cwd: checkout, exclude: ['**/node_modules'] }).sort()) {
    const folder = join('/', home, dirname(file))
    const { images: found } = parse(readFileSync(join(checkout, file), 'utf8')) as ImagesFile
    for (const [name, { command, workingDir = '.', env = {} }] of Object.entries(found))
      images.push({
        name,
        settings: {
          entrypoint: command,
          workingDir: resolve(folder, workingDir),
          env: { PATH: '/usr/local/bin', ...env },
          user: '0',
        },
      })
  }
  return images.sort((a, b) => (a.name < b.name ? -1 : 1))
}
