// Everything a fresh machine lacks, then the asked-for verb under the pinned Node.
// Runs on Node 20 and later, so it is plain JavaScript without dependencies. It fetches the Node named in
// .node-version and the pnpm named below from npm into a cache outside the checkout, installs the
// dependencies when the lock file changed, and replaces itself by the verb. It installs no system package.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const pnpmVersion = '12.21.0'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'wishbone')
const verbs = {
  demo: ['examples/demo/src/main.ts'],
  e2e: ['examples/demo/src/e2e.ts'],
  up: ['packages/cli/src/main.ts', 'up'],
  wishbone: ['packages/cli/src/main.ts'],
  test: ['tools/test.ts'],
  bench: ['bench/main.ts'],
  conformance: ['gateway-api-conformance/src/main.ts'],
  image: ['tools/image/main.ts'],
  'install-manifest': ['tools/generate-install.ts'],
  'cluster:up': ['tools/cluster/main.ts', 'up'],
  'cluster:down': ['tools/cluster/main.ts', 'down'],
  'cluster:node-stop': ['tools/cluster/main.ts', 'node-stop'],
  'cluster:node-start': ['tools/cluster/main.ts', 'node-start'],
  'cluster:load-image': ['tools/cluster/main.ts', 'load-image'],
  'cluster:check': ['tools/cluster/check.ts'],
  // Only installs; for scripts that go on by themselves.
  install: undefined,
}

function say(text) {
  process.stderr.write(`wishbone: ${text}\n`)
}

function fail(text) {
  say(text)
  process.exit(1)
}

function run(command, args, options) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options })
  if (done.status !== 0) fail(`'${command} ${args.join(' ')}' failed${done.error ? `: ${done.error.message}` : ''}`)
}

/** Fetches one npm package into the cache, whole or not at all, and returns its folder. */
function fetchPackage(name, version) {
  const home = join(cache, `${name}-${version}`)
  const folder = join(home, 'node_modules', name)
  if (existsSync(join(folder, 'package.json'))) return folder
  say(`fetching ${name} ${version} from npm (once; kept in ${cache})`)
  const partial = `${home}.${process.pid}`
  mkdirSync(partial, { recursive: true })
  run(
    'npm',
    [
      'install',
      '--prefix',
      partial,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--no-update-notifier',
      `${name}@${version}`,
    ],
    { stdio: ['ignore', 'ignore', 2] },
  )
  try {
    renameSync(partial, home)
  } catch {
    // Another run was faster, or left a broken folder behind.
    if (!existsSync(join(folder, 'package.json'))) {
      rmSync(home, { recursive: true, force: true })
      renameSync(partial, home)
    } else rmSync(partial, { recursive: true, force: true })
  }
  return folder
}

function pinnedNode() {
  const wanted = readFileSync(join(root, '.node-version'), 'utf8').trim()
  const [major, minor] = wanted.split('.').map(Number)
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number)
  if (ownMajor === major && ownMinor >= minor) return process.execPath
  if (process.platform !== 'linux')
    fail(`Wishbone needs Linux (network namespaces); this is ${process.platform}. In a Linux VM, run the same command.`)
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    fail(`no Node build for ${process.arch}: Wishbone supports amd64 and arm64`)
  return join(fetchPackage(`node-linux-${process.arch}`, wanted), 'bin', 'node')
}

function installDependencies(node) {
  const hash = createHash('sha256')
  for (const file of ['pnpm-lock.yaml', 'package.json', 'pnpm-workspace.yaml'])
    hash.update(readFileSync(join(root, file)))
  const digest = hash.digest('hex')
  const marker = join(root, 'node_modules', '.wishbone-installed')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === digest) return
  say('installing dependencies')
  const pnpm = join(fetchPackage('pnpm', pnpmVersion), 'bin', 'pnpm.mjs')
  run(node, [pnpm, 'install', '--frozen-lockfile', '--ignore-scripts', '--reporter=append-only', '--loglevel=warn'], {
    env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, CI: process.env.CI ?? 'true' },
  })
  writeFileSync(marker, digest)
}

const [verb = 'wishbone', ...rest] = process.argv.slice(2)
if (!(verb in verbs)) fail(`unknown verb '${verb}'; one of: ${Object.keys(verbs).join(', ')}`)
const node = pinnedNode()
installDependencies(node)
const entry = verbs[verb]
if (entry) {
  const child = spawn(
    node,
    ['--disable-warning=ExperimentalWarning', join(root, entry[0]), ...entry.slice(1), ...rest],
    {
      cwd: verb === 'wishbone' || verb === 'up' ? (process.env.INIT_CWD ?? process.cwd()) : root,
      stdio: 'inherit',
      env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, WISHBONE_BOOTSTRAP: String(process.pid) },
    },
  )
  // The terminal sends ^C to the whole group; the child decides what it means.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
}
