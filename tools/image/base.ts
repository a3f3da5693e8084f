// The lowest layer: Node, the few Debian libraries that it links to, and the files that every program expects of a
// system. There is no shell and no package manager in it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Entry } from './entry.ts'
import { folderEntries } from './folder.ts'
import { cacheFolder } from './place.ts'

/** What `ldd node` names; checked against it below. */
const packages = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1']
export const nonRoot = 65_532

const system: readonly Entry[] = [
  {
    kind: 'text',
    path: 'etc/passwd',
    text: `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${nonRoot}:${nonRoot}:nonroot:/:/sbin/nologin\n`,
  },
  { kind: 'text', path: 'etc/group', text: `root:x:0:\nnonroot:x:${nonRoot}:\n` },
  { kind: 'text', path: 'etc/nsswitch.conf', text: 'hosts: files dns\n' },
  { kind: 'folder', path: 'tmp', mode: 0o1777 },
  ...['dev', 'proc', 'run', 'sys'].map((path): Entry => ({ kind: 'folder', path })),
  { kind: 'link', path: 'var/run', target: '/run' },
]

/** The file names of the Debian packages, which carry their versions; fetched once, and again when `fresh`. */
export function debianPackages(fresh: boolean): readonly string[] {
  const folder = cacheFolder('debian')
  const found = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.deb'))
  const isThere = (name: string): boolean => found().some((file) => file.startsWith(`${name}_`))
  if (fresh) for (const file of readdirSync(folder)) rmSync(join(folder, file), { recursive: true })
  if (!packages.every(isThere)) {
    const download = (): boolean =>
      run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', ...packages], folder)
    // On a new machine apt knows no package before its first update.
    if (!download() && !(run('apt-get', ['update', '-q'], folder) && download()))
      throw new Error(
        `the image needs the Debian packages ${packages.join(', ')}, and apt-get cannot fetch them; on a machine without apt-get build the Dockerfile in deploy/image`,
      )
  }
  return found().sort()
}

/** Node at /usr/local/bin/node and what it links to. */
export function baseEntries(files: readonly string[]): Entry[] {
  const root = unpacked(files)
  const libraries = folderEntries(
    root,
    '',
    // glibc's converters and Debian's notes are of no use to Node; the copyright files stay.
    (below) => !/(^|\/)gconv(\/|$)|^usr\/share\/(?!doc(\/|$))|\/changelog[^/]*$/.test(below),
  )
  const present = new Set(libraries.map(({ path }) => basename(path)))
  const missing = neededLibraries().filter((name) => !present.has(name))
  if (missing.length > 0)
    throw new Error(`Node links to ${missing.join(', ')}, which none of ${packages.join(', ')} contains`)
  return [
    ...libraries,
    ...system,
    { kind: 'copy', path: 'usr/local/bin/node', from: process.execPath, executable: true },
  ]
}

function unpacked(files: readonly string[]): string {
  const folder = cacheFolder('debian')
  const root = join(folder, 'root')
  rmSync(root, { recursive: true, force: true })
  const partial = `${root}.${process.pid}`
  mkdirSync(partial)
  for (const file of files)
    if (!run('dpkg-deb', ['--extract', join(folder, file), partial], folder))
      throw new Error(`dpkg-deb cannot unpack ${join(folder, file)}; delete it and try again`)
  renameSync(partial, root)
  return root
}

function neededLibraries(): string[] {
  const { stdout } = spawnSync('ldd', [process.execPath], { encoding: 'utf8' })
  return [...stdout.matchAll(/^\s*(?:\S*\/)?([\w.+-]+\.so[\w.]*)(?: =>| \()/gm)]
    .map(([, name]) => name!)
    .filter((name) => !name.startsWith('linux-vdso'))
}

function run(program: string, args: readonly string[], cwd: string): boolean {
  return spawnSync(program, args, { cwd, stdio: ['ignore', 2, 2] }).status === 0
}
