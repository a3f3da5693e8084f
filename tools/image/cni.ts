// The CNI plugin, a static Go program, built into the cache; Go's own build cache makes a second build a matter of a moment.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { architecture, cacheFolder, checkout } from './place.ts'

/** The built plugin. */
export function cniPlugin(): string | undefined {
  const folder = join(checkout, 'packages/node/cni')
  if (!existsSync(join(folder, 'go.mod'))) return undefined
  const file = join(cacheFolder('cni'), 'wishbone-cni')
  const env = { ...process.env, CGO_ENABLED: '0', GOOS: 'linux', GOARCH: architecture, GOFLAGS: '-mod=mod' }
  // No path, version control state or build id: the same source is the same file.
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', file, '.']
  const done = spawnSync('go', args, { cwd: folder, env, stdio: ['ignore', 2, 2] })
  if (done.status !== 0)
    throw new Error(`packages/node/cni cannot be built${done.error ? `: ${done.error.message}; it needs Go` : ''}`)
  return file
}
