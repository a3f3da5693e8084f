// deploy/install.yaml is the chart with its default values, and the namespace; deploy/machine.yaml the same for packages/machine;
// deploy/chart/README.md tells the values. This makes them; with --check it only tells whether the committed ones are current,
// with --print the first goes to standard output (more arguments go to Helm: `--set …`).
// Helm is built once into the cache through the Go module proxy, unless a helm of version 4 or 3 is installed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMap, type Node, type Pair, parseDocument, type Scalar, type YAMLMap } from 'yaml'
import { forMachine } from './machine-manifest.ts'

const helmVersion = 'v4.3.1'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const files = {
  install: join(root, 'deploy/install.yaml'),
  machine: join(root, 'deploy/machine.yaml'),
  machineValues: join(root, 'deploy/machine.values.yaml'),
  values: join(root, 'deploy/chart/README.md'),
}
const namespace = 'wishbone-system'

const heads = {
  install: `# Wishbone without Helm: the chart in deploy/chart with its default values. Made by 'npm run install-manifest'; do not edit.
# Before it: kubectl apply --server-side --recursive -f deploy/crds
`,
  machine: `# The mesh on \`wishbone up\`: the chart in deploy/chart with machine.values.yaml. Made by 'npm run install-manifest'; do not edit.
# The image \`wishbone\` is this checkout: its first argument names the program.
`,
}

const namespaceObject = `apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}
  labels:
    # The node agent uses the node's network and paths; ztunnel enters the network namespaces of pods.
    pod-security.kubernetes.io/enforce: privileged
    istio.io/dataplane-mode: none
`

/** The path of a Helm, built if need be; throws with what to do. */
function helm(): string {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wishbone', 'tools')
  const built = join(folder, `helm-${helmVersion}`)
  if (existsSync(built)) return built
  const installed = spawnSync('helm', ['version', '--short'], { encoding: 'utf8' })
  if (/^v[34]\./.test(installed.stdout ?? '')) return 'helm'
  mkdirSync(folder, { recursive: true })
  process.stderr.write(`building helm ${helmVersion} (once; kept in ${folder})\n`)
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' }
  const args = ['-n', '10', 'go', 'install', '-trimpath', `helm.sh/helm/v4/cmd/helm@${helmVersion}`]
  const done = spawnSync('nice', args, { env, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Error('helm cannot be built; install Go, or helm itself')
  renameSync(join(folder, 'helm'), built)
  return built
}

function render(more: readonly string[]): string {
  const args = ['template', 'wishbone', join(root, 'deploy/chart'), '--namespace', namespace, '--no-hooks', ...more]
  const done = spawnSync(helm(), args, { encoding: 'utf8', maxBuffer: 64 << 20 })
  if (done.status !== 0) throw new Error(`helm template: ${done.stderr}`)
  // What a chart needs and a reader does not.
  const manifests = done.stdout
    .replace(/^# Source: .*\n/gm, '')
    .replace(/\n\n+---/g, '\n---')
    .replaceAll('managed-by: Helm', 'managed-by: kubectl')
  return `${namespaceObject}${manifests}`
}

/** The values' table, from the comments of values.yaml that begin with `--`. */
function valuesTable(): string {
  const rows: string[] = []
  const visit = (map: YAMLMap, path: string): void => {
    for (const { key, value } of map.items as Pair<Scalar<string>, Node>[]) {
      const name = path === '' ? key.value : `${path}.${key.value}`
      const comment = key.commentBefore ?? (map.items[0]?.key === key ? (map.commentBefore ?? '') : '')
      const [, text] = /^ *-- ([\s\S]*)$/.exec(comment.split('\n\n').at(-1) ?? '') ?? []
      if (isMap(value) && value.items.length > 0 && !value.flow) {
        visit(value, name)
        continue
      }
      rows.push(
        `| \`${name}\` | ${text?.replace(/\s+/g, ' ') ?? ''} | \`${JSON.stringify(value?.toJSON() ?? null)}\` |`,
      )
    }
  }
  const { contents } = parseDocument(readFileSync(join(root, 'deploy/chart/values.yaml'), 'utf8'))
  if (!isMap(contents)) throw new Error('values.yaml is no map')
  visit(contents, '')
  return `# The values of the chart\n\nMade from values.yaml by 'npm run install-manifest'. How to install is in [deploy/README.md](../README.md).\n\n| value | what | default |\n|---|---|---|\n${rows.join('\n')}\n`
}

const args = process.argv.slice(2)
if (args[0] === '--print') process.stdout.write(`${heads.install}${render(args.slice(1))}`)
else
  for (const [file, fresh] of [
    [files.install, `${heads.install}${render([])}`],
    [files.machine, `${heads.machine}${forMachine(render(['--values', files.machineValues]))}`],
    [files.values, valuesTable()],
  ] as const) {
    if (args[0] !== '--check') writeFileSync(file, fresh)
    else if (!existsSync(file) || readFileSync(file, 'utf8') !== fresh) {
      process.stderr.write(`${file} is stale: run 'npm run install-manifest' and commit the result\n`)
      process.exitCode = 1
    }
  }
