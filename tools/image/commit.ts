// Builds the image of a commit by that commit's own `npm run image`, in a folder that is gone afterwards.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, checkout } from './place.ts'

/** How long an archive stays in the cache. */
const keepMs = 3_600_000

/** The status to exit with; the commit's own build prints the image. */
export function buildCommit(revision: string): number {
  const git = (...args: readonly string[]): string => {
    const done = spawnSync('git', args, { cwd: checkout, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`git ${args.join(' ')}: ${done.stderr.trim()}`)
    return done.stdout.trim()
  }
  const commit = git('rev-parse', '--verify', `${revision}^{commit}`)
  const archives = cacheFolder('commits')
  for (const name of readdirSync(archives)) {
    const path = join(archives, name)
    const { mtimeMs = Date.now() } = statSync(path, { throwIfNoEntry: false }) ?? {}
    if (Date.now() - mtimeMs > keepMs) rmSync(path, { recursive: true, force: true })
  }
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-commit-'))
  try {
    const source = join(folder, 'source.tar')
    git('archive', '--format=tar', `--output=${source}`, commit)
    const unpacked = spawnSync('tar', ['-xf', source], { cwd: folder, stdio: ['ignore', 2, 2] })
    if (unpacked.status !== 0) throw new Error(`the files of ${commit} cannot be unpacked`)
    const output = join(archives, `${commit.slice(0, 12)}.tar`)
    const args = [join(folder, 'tools/bootstrap.mjs'), 'image', '--output', output]
    return spawnSync(process.execPath, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
