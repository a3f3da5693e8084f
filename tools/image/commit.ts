// Builds the image of a commit, in a folder of its own beside the cache, by that commit's own `npm run image`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, checkout } from './place.ts'

/** The status to exit with; the commit's own build prints the image. */
export function buildCommit(revision: string): number {
  const git = (...args: readonly string[]): string => {
    const done = spawnSync('git', args, { cwd: checkout, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`git ${args.join(' ')}: ${done.stderr.trim()}`)
    return done.stdout.trim()
  }
  const commit = git('rev-parse', '--verify', `${revision}^{commit}`)
  const folder = join(cacheFolder('commits'), commit)
  if (!existsSync(folder)) {
    const partial = mkdtempSync(`${folder}.`)
    git('archive', '--format=tar', `--output=${partial}/source.tar`, commit)
    const done = spawnSync('tar', ['-xf', 'source.tar'], { cwd: partial, stdio: ['ignore', 2, 2] })
    if (done.status !== 0) throw new Error(`the files of ${commit} cannot be unpacked`)
    rmSync(join(partial, 'source.tar'))
    renameSync(partial, folder)
  }
  const output = join(cacheFolder('commits'), `${commit.slice(0, 12)}.tar`)
  const args = [join(folder, 'tools/bootstrap.mjs'), 'image', '--output', output]
  return spawnSync(process.execPath, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1
}
