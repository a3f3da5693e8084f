// The npm packages that some packages of the workspace need at run time: what can be reached over `dependencies` in the
// checkout's node_modules, laid out as pnpm lays it out. Nothing is fetched.
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Entry } from './entry.ts'
import { folderEntries } from './folder.ts'
import { checkout, home } from './place.ts'

/** Programs in a pod find the API server without it; it is loaded for a kubeconfig only. */
const left = new Set(['@kubernetes/client-node'])
/** What a package carries for readers and compilers only. Licences stay. */
const forReaders = /\.(map|d\.[cm]?ts|tsbuildinfo|flow|markdown)$|^(?!.*licen[cs]e).*\.md$/i
const testFolder = /^(test|tests|__tests__|docs|example|examples|benchmark|benchmarks|\.github)$/

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
}

/** Links of the given workspace folders (such as `packages/core`) to what they depend on, and the packages themselves. */
export function moduleEntries(folders: readonly string[]): Entry[] {
  const entries: Entry[] = []
  const visited = new Set<string>()
  const included = new Set(folders.map((folder) => join(checkout, folder)))
  const link = (from: string, target: string): void =>
    void entries.push({ kind: 'link', path: `${home}/${relative(checkout, from)}`, target })
  // A package of pnpm's store: its files, and beside it links to what it depends on.
  const visitStore = (storeFolder: string): void => {
    if (visited.has(storeFolder)) return
    visited.add(storeFolder)
    for (const name of packageNames(storeFolder)) {
      const path = join(storeFolder, name)
      const target = linkTarget(path)
      if (target === undefined)
        entries.push(...folderEntries(path, `${home}/${relative(checkout, path)}`, isForMachines))
      else if (!left.has(name)) {
        link(path, target)
        visitStore(storeOf(realpathSync(path)))
      }
    }
  }
  for (const folder of folders) {
    const { dependencies = {} } = JSON.parse(readFileSync(join(checkout, folder, 'package.json'), 'utf8')) as Manifest
    for (const name of Object.keys(dependencies).sort()) {
      const path = join(checkout, folder, 'node_modules', name)
      if (left.has(name)) continue
      if (!existsSync(path)) throw new Error(`${folder} needs ${name}, which is not installed; run pnpm install`)
      const real = realpathSync(path)
      if (real.includes('/node_modules/')) visitStore(storeOf(real))
      else if (!included.has(real)) continue
      link(path, linkTarget(path)!)
    }
  }
  return entries
}

function isForMachines(below: string): boolean {
  return !forReaders.test(below) && !testFolder.test(below) && below !== 'node_modules/.bin'
}

/** `…/.pnpm/NAME@VERSION/node_modules` of a package in it. */
function storeOf(packageFolder: string): string {
  return packageFolder.slice(0, packageFolder.lastIndexOf('/node_modules/') + '/node_modules'.length)
}

function packageNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(folder, name)).map((inner) => `${name}/${inner}`) : [name],
    )
    .sort()
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
