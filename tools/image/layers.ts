// The layers of the images, lowest first and each seldomer changed than the one above, so that a rebuilt image brings
// only what changed. The costly ones are kept in the cache under a key of everything that they are made from.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { baseEntries, debianPackages } from './base.ts'
import { cniPlugin } from './cni.ts'
import type { Entry } from './entry.ts'
import { folderEntries } from './folder.ts'
import { moduleEntries } from './modules.ts'
import { cacheFolder, checkout, home } from './place.ts'
import { type Blob, writeTar } from './tar.ts'

/** The packages of the four programs and what they share. */
const folders = ['proto', 'core', 'runtime', 'controller', 'node', 'ztunnel', 'waypoint'].map(
  (name) => `packages/${name}`,
)
const exampleFolders = ['examples/bookinfo', 'examples/demo', 'examples/toolbox']

/** How long a replaced layer stays in the cache. */
const keepMs = 3_600_000

export interface LayerOptions {
  /** Fetch the newest Debian packages although some are there. */
  readonly fresh: boolean
}

interface Layer {
  readonly name: string
  readonly key: string
  readonly entries: () => Entry[]
}

/** The files of the image `wishbone`, by layer. */
export function wishboneLayers({ fresh }: LayerOptions): readonly Layer[] {
  const debian = debianPackages(fresh)
  return [
    {
      name: 'base',
      key: keyOf(process.version, ...debian, ...recipe('base', 'entry', 'folder', 'tar')),
      entries: () => baseEntries(debian),
    },
    {
      name: 'modules',
      key: keyOf(...recipe('modules', 'entry', 'folder', 'tar'), ...manifests()),
      entries: () => moduleEntries(folders),
    },
    { name: 'plugin', key: '', entries: pluginEntries },
    { name: 'programs', key: '', entries: programEntries },
  ]
}

/** What the images of the examples have above those layers. */
export function exampleLayer(): Layer {
  return {
    name: 'examples',
    key: '',
    entries: () => [
      ...exampleFolders.flatMap((folder) =>
        folderEntries(
          join(checkout, folder),
          `${home}/${folder}`,
          (below) => isSource(below) && below !== 'node_modules',
        ),
      ),
      ...moduleEntries([...exampleFolders, 'packages/runtime']).filter(
        ({ path }) => !path.startsWith(`${home}/packages/`),
      ),
    ],
  }
}

function pluginEntries(): Entry[] {
  const plugin = cniPlugin()
  return plugin === undefined ? [] : [{ kind: 'copy', path: `${home}/wishbone-cni`, from: plugin, executable: true }]
}

function programEntries(): Entry[] {
  return [
    { kind: 'copy', path: `${home}/launch.mjs`, from: join(checkout, 'tools/image/launch.mjs'), executable: false },
    // It says that the .ts files are modules.
    { kind: 'text', path: `${home}/package.json`, text: '{ "type": "module" }\n' },
    { kind: 'copy', path: `${home}/LICENSE`, from: join(checkout, 'LICENSE'), executable: false },
    ...folders.flatMap((folder) => [
      {
        kind: 'copy',
        path: `${home}/${folder}/package.json`,
        from: join(checkout, folder, 'package.json'),
        executable: false,
      } as const,
      ...folderEntries(join(checkout, folder, 'src'), `${home}/${folder}/src`, isSource),
    ]),
  ]
}

function isSource(below: string): boolean {
  return !/\.test\.ts$|\.(golden\.json|snap)$/.test(below)
}

/** A layer's archive, from the cache if its key has not changed. A layer without a key is always made. */
export function layerBlob({ name, key, entries }: Layer): Blob {
  const folder = cacheFolder('layers')
  const note = join(folder, `${name}-${key.slice(0, 16)}.json`)
  if (key !== '' && existsSync(note)) {
    const kept = JSON.parse(readFileSync(note, 'utf8')) as Blob
    if (existsSync(kept.file)) return kept
  }
  const made = writeTar(join(folder, `${name}-${process.pid}`), entries())
  // Named by its content: a build at the same time may be reading the one before.
  const file = join(folder, `${name}-${made.digest.slice('sha256:'.length).slice(0, 16)}.tar`)
  renameSync(made.file, file)
  const blob = { ...made, file }
  if (key !== '') writeFileSync(note, JSON.stringify(blob))
  for (const old of readdirSync(folder))
    if (old.startsWith(`${name}-`) && Date.now() - statSync(join(folder, old)).mtimeMs > keepMs)
      rmSync(join(folder, old), { force: true })
  return blob
}

function keyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The text of the files here that make a layer: another recipe is another layer. */
function recipe(...names: readonly string[]): string[] {
  return names.map((name) => readFileSync(new URL(`${name}.ts`, import.meta.url), 'utf8'))
}

function manifests(): string[] {
  return ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...folders.map((folder) => `${folder}/package.json`)].map(
    (file) => `${basename(file)} ${readFileSync(join(checkout, file), 'utf8')}`,
  )
}
