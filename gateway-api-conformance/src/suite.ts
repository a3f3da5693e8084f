// The suite as a program: compiled once per content of this Go module, kept in the cache outside of the checkout.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, checkout } from './place.ts'
import type { Catalogue } from './plan.ts'

export interface Suite {
  readonly binary: string
  readonly catalogue: Catalogue
}

const folder = join(checkout, 'gateway-api-conformance')
/** The suite needs this language version; Go fetches the toolchain by itself through the module proxy. */
const toolchain = `go${/^go (\S+)$/m.exec(readFileSync(join(folder, 'go.mod'), 'utf8'))?.[1]}`

/** Compiles the suite where it is not in the cache: minutes the first time. Throws when Go cannot. */
export function buildSuite(say: (line: string) => void): Suite {
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum', 'conformance_test.go']) hash.update(readFileSync(join(folder, file)))
  const home = cacheFolder('conformance', hash.digest('hex').slice(0, 12))
  const binary = join(home, 'conformance.test')
  const catalogue = join(home, 'catalogue.json')
  if (!existsSync(catalogue)) {
    say(`compiling the suite with ${toolchain} (once, some minutes; kept in ${home})`)
    const partial = `${binary}.${process.pid}`
    const env = { ...process.env, GOTOOLCHAIN: toolchain, CGO_ENABLED: '0', GOFLAGS: '' }
    run('go', ['test', '-c', '-trimpath', '-o', partial, '.'], env)
    renameSync(partial, binary)
    const written = `${catalogue}.${process.pid}`
    run(binary, ['-test.run=^TestCatalogue$'], { ...process.env, CATALOGUE: written })
    renameSync(written, catalogue)
    removeOthers(home)
  }
  return { binary, catalogue: JSON.parse(readFileSync(catalogue, 'utf8')) as Catalogue }
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
  const done = spawnSync(program, args, { cwd: folder, env, stdio: ['ignore', 2, 2] })
  if (done.error) throw new Error(`${program} cannot be run (${done.error.message}); the suite needs Go 1.21 or later`)
  if (done.status !== 0) throw new Error(`'${program} ${args.join(' ')}' failed`)
}

/** An older binary is never asked for again. */
function removeOthers(home: string): void {
  const all = join(home, '..')
  for (const name of readdirSync(all)) {
    const other = join(all, name)
    if (/^[0-9a-f]{12}$/.test(name) && other !== home) rmSync(other, { recursive: true, force: true })
  }
}
