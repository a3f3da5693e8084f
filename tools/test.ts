// `npm test`: everything a machine can check, step by step, with a table of times at the end.
//   npm test [-- STEP...]   runs only the steps named
// With CI=true a step that cannot run here fails; elsewhere it is skipped by name. There the end of what failed steps printed
// comes once more after everything, for whoever sees the last lines only.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)
const ci = process.env['CI'] === 'true'

interface Step {
  readonly name: string
  readonly run: () => boolean | Promise<boolean>
  /** Why it can't run here; undefined when it can. */
  readonly obstacle?: () => string | undefined
}

/** What the step that runs has printed, of its last characters. Filled with CI=true only. */
let printed = ''
const KEPT_CHARACTERS = 8000

/** Runs a program to its end; its output is ours. */
function command(program: string, args: readonly string[], cwd = root): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const child = spawn(program, args, { cwd, stdio: ci ? ['inherit', 'pipe', 'pipe'] : 'inherit' })
  const passOn = (to: NodeJS.WriteStream) => (text: string) => {
    to.write(text)
    printed = (printed + text).slice(-KEPT_CHARACTERS)
  }
  child.stdout?.setEncoding('utf8').on('data', passOn(process.stdout))
  child.stderr?.setEncoding('utf8').on('data', passOn(process.stderr))
  child.on('error', (error) => {
    process.stderr.write(`${program}: ${error.message}\n`)
    resolve(false)
  })
  child.on('close', (status) => resolve(status === 0))
  return promise
}

/** Generates into a folder of its own and compares, so that a stale file fails and nothing in the checkout changes. */
async function protobufIsCurrent(): Promise<boolean> {
  const fresh = mkdtempSync(join(tmpdir(), 'wishbone-gen-'))
  try {
    const folder = join(root, 'packages/proto')
    if (!(await command(bin('buf'), ['generate', '-o', fresh], folder))) return false
    if (await command('diff', ['-r', join(fresh, 'src/gen'), join(folder, 'src/gen')])) return true
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
async function protobufIsCompatible(): Promise<boolean> {
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
    const against = ['--against', join(folder, 'packages/proto')]
    return await command(bin('buf'), ['breaking', ...against], join(root, 'packages/proto'))
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
async function cniPluginIsSound(): Promise<boolean> {
  const folder = join(root, 'packages/node/cni')
  return (await command('go', ['vet', './...'], folder)) && (await command('go', ['test', './...'], folder))
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

const vitest = (project: string): Promise<boolean> =>
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
  readonly printed: string
}

const outcomes: Outcome[] = []
for (const step of steps) {
  if (wanted.length > 0 && !wanted.includes(step.name)) continue
  process.stdout.write(`\n== ${step.name}\n`)
  const started = Date.now()
  printed = ''
  const obstacle = step.obstacle?.()
  if (obstacle) process.stderr.write(`${step.name}: ${obstacle}\n`)
  const result = obstacle ? (ci ? 'failed' : 'skipped') : (await step.run()) ? 'passed' : 'failed'
  outcomes.push({ name: step.name, result, seconds: (Date.now() - started) / 1000, printed })
}

for (const { name, result, printed } of outcomes) {
  if (ci && result === 'failed') process.stdout.write(`\n== ${name} failed; the end of what it printed\n${printed}\n`)
}
process.stdout.write('\n')
for (const { name, result, seconds } of outcomes) {
  process.stdout.write(`${name.padEnd(22)}${result.padEnd(10)}${seconds.toFixed(1).padStart(8)} s\n`)
}
const count = (result: Outcome['result']): number => outcomes.filter((outcome) => outcome.result === result).length
process.stdout.write(`steps: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped\n`)
process.exitCode = count('failed') > 0 ? 1 : 0
