// Builds what is missing or outdated into the cache, from the Go module proxy. Killed and simultaneous builds are
// harmless: a binary appears under its name only when it is whole, and its stamp after it.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Binary, binaries, stampOf } from './binaries.ts'
import { withLock } from './lock.ts'
import { isProcess } from './process.ts'
import { paths } from './settings.ts'
import { attempt, ClusterError, run, say } from './shell.ts'

const moduleFolder = (binary: Binary): string => join(import.meta.dirname, 'modules', binary.module)

/** @throws ClusterError with the compiler's words, or when Go is missing */
export async function buildMissing(): Promise<void> {
  if (outdated().length === 0) return
  mkdirSync(paths.bin, { recursive: true })
  await withLock(`build ${paths.bin}`, 'another run builds the binaries; waiting for it', async () => {
    requireGo()
    removeRemains()
    const missing = outdated()
    if (missing.length === binaries.length) say('building Kubernetes and the rest from source: about 10 minutes, once')
    for (const binary of missing) build(binary)
  })
}

function outdated(): readonly Binary[] {
  return binaries.filter(
    (binary) => !existsSync(join(paths.bin, binary.name)) || readStamp(binary) !== stampOf(binary, pinsOf(binary)),
  )
}

const stampFile = (binary: Binary): string => join(paths.bin, `.${binary.name}.stamp`)

function readStamp(binary: Binary): string {
  return existsSync(stampFile(binary)) ? readFileSync(stampFile(binary), 'utf8') : ''
}

/** Everything in the module's folder: the versions, their checksums, and the source of what is our own. */
function pinsOf(binary: Binary): string {
  const folder = moduleFolder(binary)
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
}

function build(binary: Binary): void {
  const started = performance.now()
  const target = join(paths.bin, binary.name)
  const partial = `${target}.partial-${process.pid}`
  const values = Object.entries(binary.values ?? {}).map(([name, value]) => `-X ${name}=${value}`)
  const flags = ['-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags', ['-s', '-w', ...values].join(' ')]
  try {
    run(['go', 'build', ...flags, '-o', partial, binary.package], {
      cwd: moduleFolder(binary),
      // "auto": a module may ask for a newer Go than the installed one, which comes through the module proxy.
      env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'auto', GOWORK: 'off' },
    })
    renameSync(partial, target)
    writeFileSync(`${partial}.stamp`, stampOf(binary, pinsOf(binary)))
    renameSync(`${partial}.stamp`, stampFile(binary))
  } finally {
    rmSync(partial, { force: true })
  }
  say(`built ${binary.name} in ${((performance.now() - started) / 1000).toFixed(0)} s`)
}

/** Half binaries of builds that were killed. */
function removeRemains(): void {
  for (const name of readdirSync(paths.bin)) {
    const pid = /\.partial-(\d+)/.exec(name)?.[1]
    if (pid !== undefined && !isProcess(Number(pid))) rmSync(join(paths.bin, name), { force: true })
  }
}

function requireGo(): void {
  const { ok, stdout } = attempt(['go', 'env', 'GOVERSION'])
  const [, minor = '0'] = /^go1\.(\d+)/.exec(stdout) ?? []
  if (!ok || Number(minor) < 21)
    throw new ClusterError(
      'building the cluster needs Go 1.21 or later in PATH (it fetches newer ones by itself): see https://go.dev/dl',
    )
}
