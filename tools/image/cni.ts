// The CNI plugin, a static Go program, built into the cache; Go's own build cache makes a second build a matter of a moment.
import { spawnSync } from 'node:child_process'
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { architecture, cacheFolder, checkout } from './place.ts'

/** The built plugin. */
export function cniPlugin(): string | undefined {
  const folder = join(checkout, 'packages/node/cni')
  if (!existsSync(join(folder, 'go.mod'))) return undefined
  const file = join(cacheFolder('cni'), 'wishbone-cni')
  // Another build may be reading the one that is there.
  const fresh = `${file}.${process.pid}`
  const env = { ...process.env, CGO_ENABLED: '0', GOOS: 'linux', GOARCH: architecture, GOFLAGS: '-mod=mod' }
  // No path, version control state or build id: the same source is the same file.
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', fresh, '.']
  const done = spawnSync('go', args, { cwd: folder, env, stdio: ['ignore', 2, 2] })
  if (done.status !== 0)
    throw new Error(`packages/node/cni cannot be built${done.error ? `: ${done.error.message}; it needs Go` : ''}`)
  renameSync(fresh, file)
  return file
}
