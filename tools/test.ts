// `npm test`: everything a machine can check, step by step, with a table of times at the end.
//   npm test [-- STEP...]   runs only the steps named
// With CI=true a step that cannot run here fails; elsewhere it is skipped by name.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)
const ci = process.env['CI'] === 'true'

interface Step {
  readonly name: string
  readonly run: () => boolean
  /** Why it can't run here; undefined when it can. */
  readonly obstacle?: () => string | undefined
}

function command(program: string, args: readonly string[], cwd = root): boolean {
  const done = spawnSync(program, args, { cwd, stdio: 'inherit' })
  if (done.error) process.stderr.write(`${program}: ${done.error.message}\n`)
  return done.status === 0
}

/** Generates into a folder of its own and compares, so that a stale file fails and nothing in the checkout changes. */
function protobufIsCurrent(): boolean {
  const fresh = mkdtempSync(join(tmpdir(), 'wishbone-gen-'))
  try {
    const folder = join(root, 'packages/proto')
    if (!command(bin('buf'), ['generate', '-o', fresh], folder)) return false
    if (command('diff', ['-r', join(fresh, 'src/gen'), join(folder, 'src/gen')])) return true
    process.stderr.write(
      "packages/proto/src/gen is stale: run 'buf generate' in packages/proto and commit the result\n",
    )
    return false
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/**
 * Whether a program of the build before the last change of the wire can still read it: one release of skew works between any
 * two programs. A clone without history has nothing to compare with.
 */
function protobufIsCompatible(): boolean {
  const git = (...args: string[]): string =>
    spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? ''
  const last = git('log', '-1', '--format=%H', '--', 'packages/proto/proto')
  const before = last === '' ? '' : git('rev-parse', '--verify', '--quiet', `${last}^`)
  if (before === '') {
    process.stderr.write('this clone has no history of packages/proto/proto: nothing to compare with\n')
    return true
  }
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-proto-'))
  try {
    const archive = spawnSync('git', ['archive', before, 'packages/proto'], { cwd: root, maxBuffer: 64 << 20 }).stdout
    if (spawnSync('tar', ['-x', '-C', folder], { input: archive }).status !== 0) return false
    return command(bin('buf'), ['breaking', '--against', join(folder, 'packages/proto')], join(root, 'packages/proto'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether namespaces can be made here, as root or as a user. */
function namespacesObstacle(): string | undefined {
  const flags =
    process.getuid?.() === 0
      ? ['--net', '--mount', '--pid', '--fork']
      : ['--user', '--map-root-user', '--net', '--mount', '--pid', '--fork']
  const probe = spawnSync('unshare', [...flags, 'true'], { encoding: 'utf8' })
  if (probe.status === 0) return undefined
  const reason = probe.error ? probe.error.message : probe.stderr.trim()
  return `network namespaces cannot be made here (${reason}); run as root, or allow unprivileged user namespaces`
}

/** The CNI plugin's own checks; hosts run it, so it is in Go. */
function cniPluginIsSound(): boolean {
  const folder = join(root, 'packages/node/cni')
  return command('go', ['vet', './...'], folder) && command('go', ['test', './...'], folder)
}

function goObstacle(): string | undefined {
  return spawnSync('go', ['version']).status === 0 ? undefined : 'Go is not installed here'
}

/** Whether the chart can be rendered: with a Helm that is here, or one that Go builds. */
function helmObstacle(): string | undefined {
  const runs = (program: string, argument: string): boolean => spawnSync(program, [argument]).status === 0
  return runs('helm', 'version') || runs('go', 'version')
    ? undefined
    : 'the chart cannot be rendered here; install Helm, or Go to build it'
}

const vitest = (project: string): boolean =>
  command(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    bin('vitest').replace(/\.bin\/vitest$/, 'vitest/vitest.mjs'),
    'run',
    '--project',
    project,
  ])

const steps: readonly Step[] = [
  { name: 'types', run: () => command(bin('tsc'), ['-p', '.']) },
  { name: 'lint', run: () => command(bin('biome'), ['check', '--error-on-warnings', '.']) },
  {
    name: 'structure',
    run: () =>
      command(bin('depcruise'), [
        'packages',
        'examples',
        'tools',
        'bench',
        'gateway-api-conformance',
        '--config',
        '.dependency-cruiser.cjs',
        '--output-type',
        'err',
      ]),
  },
  { name: 'unused', run: () => command(bin('knip'), ['--no-progress']) },
  { name: 'generated-protobuf', run: protobufIsCurrent },
  { name: 'compatible-protobuf', run: protobufIsCompatible },
  { name: 'generated-kinds', run: () => command(process.execPath, ['tools/generate-kinds.ts', '--check']) },
  { name: 'generated-docs', run: () => command(process.execPath, ['tools/generate-docs.ts', '--check']) },
  {
    name: 'generated-install',
    run: () => command(process.execPath, ['tools/generate-install.ts', '--check']),
    obstacle: helmObstacle,
  },
  { name: 'unit', run: () => vitest('unit') },
  { name: 'cni', run: cniPluginIsSound, obstacle: goObstacle },
  { name: 'namespaces', run: () => vitest('namespaces'), obstacle: namespacesObstacle },
  { name: 'worlds', run: () => vitest('worlds'), obstacle: namespacesObstacle },
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  process.stderr.write(`no step named ${unknown.join(', ')}; there are ${steps.map((step) => step.name).join(', ')}\n`)
  process.exit(2)
}

interface Outcome {
  readonly name: string
  readonly result: 'passed' | 'failed' | 'skipped'
  readonly seconds: number
}

const outcomes: Outcome[] = []
for (const step of steps) {
  if (wanted.length > 0 && !wanted.includes(step.name)) continue
  process.stdout.write(`\n== ${step.name}\n`)
  const started = Date.now()
  const obstacle = step.obstacle?.()
  if (obstacle) process.stderr.write(`${step.name}: ${obstacle}\n`)
  const result = obstacle ? (ci ? 'failed' : 'skipped') : step.run() ? 'passed' : 'failed'
  outcomes.push({ name: step.name, result, seconds: (Date.now() - started) / 1000 })
}

process.stdout.write('\n')
for (const { name, result, seconds } of outcomes) {
  process.stdout.write(`${name.padEnd(22)}${result.padEnd(10)}${seconds.toFixed(1).padStart(8)} s\n`)
}
const count = (result: Outcome['result']): number => outcomes.filter((outcome) => outcome.result === result).length
process.stdout.write(`steps: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped\n`)
process.exitCode = count('failed') > 0 ? 1 : 0
