// Which local command an image name stands for: images.yaml of the folders, and the image `wishbone`, which is this checkout.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { Container } from '../types.ts'

export interface Image {
  readonly command: readonly string[]
  readonly workingDir: string
  readonly env: Readonly<Record<string, string>>
}

export interface ImageMistake {
  readonly file: string
  readonly message: string
}

const repository = fileURLToPath(new URL('../../../..', import.meta.url))
const programs = ['controller', 'node', 'ztunnel', 'waypoint']

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

/** The images of one folder's images.yaml; relative paths are read from the folder. Broken entries are reported and left out. */
export function readImages(folder: string): { images: ReadonlyMap<string, Image>; mistakes: readonly ImageMistake[] } {
  const file = join(folder, 'images.yaml')
  const images = new Map<string, Image>()
  const mistakes: ImageMistake[] = []
  if (!existsSync(file)) return { images, mistakes }
  let entries: Record<string, unknown> = {}
  try {
    entries = ((parse(readFileSync(file, 'utf8')) as { images?: Record<string, unknown> } | null)?.images ??
      {}) as Record<string, unknown>
  } catch (cause) {
    return { images, mistakes: [{ file, message: (cause as Error).message }] }
  }
  for (const [name, value] of Object.entries(entries)) {
    const entry = value as { command?: unknown; workingDir?: unknown; env?: unknown } | null
    if (!isTexts(entry?.command) || entry.command.length === 0) {
      mistakes.push({ file, message: `image ${name}: 'command' must be a list of words, such as [node, server.js]` })
      continue
    }
    const workingDir = typeof entry.workingDir === 'string' ? resolve(dirname(file), entry.workingDir) : folder
    images.set(name, { command: entry.command, workingDir, env: (entry.env ?? {}) as Record<string, string> })
  }
  return { images, mistakes }
}

export type Resolved =
  | {
      readonly kind: 'command'
      readonly words: readonly string[]
      readonly workingDir: string
      readonly env: Readonly<Record<string, string>>
    }
  | { readonly kind: 'unmapped'; readonly message: string }

/** The image that is this checkout. */
export function isOwnImage(image: string): boolean {
  return image === 'wishbone' || image.startsWith('wishbone:')
}

/** The words that a container runs: `command` replaces the image's entrypoint and `args` its arguments, as in Kubernetes. */
export function resolveCommand(container: Container, images: ReadonlyMap<string, Image>): Resolved {
  if (isOwnImage(container.image)) {
    const [program, ...rest] = container.args ?? []
    if (!program || !programs.includes(program)) {
      return {
        kind: 'unmapped',
        message: `the image wishbone needs the name of a program as its first argument: ${programs.join(', ')}`,
      }
    }
    const main = join(repository, 'packages', program, 'src/main.ts')
    return {
      kind: 'command',
      words: [process.execPath, '--disable-warning=ExperimentalWarning', main, ...rest],
      workingDir: repository,
      env: {},
    }
  }
  const image = images.get(container.image)
  if (!image) {
    const known = [...images.keys()].sort()
    const hint = known.length > 0 ? `; it knows ${known.join(', ')}` : ''
    return {
      kind: 'unmapped',
      message: `images.yaml has no command for the image '${container.image}'${hint}. Add:  ${container.image}: { command: [program, argument] }`,
    }
  }
  const words = container.command
    ? [...container.command, ...(container.args ?? [])]
    : container.args
      ? [...image.command, ...container.args]
      : image.command
  const workingDir = container.workingDir
    ? isAbsolute(container.workingDir)
      ? container.workingDir
      : join(image.workingDir, container.workingDir)
    : image.workingDir
  return { kind: 'command', words, workingDir, env: image.env }
}
