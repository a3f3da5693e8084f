// Writes docs/errors.md, docs/settings.md and docs/metrics.md from the tables in the code that the programs themselves use.
//   node tools/generate-docs.ts [--check]      --check: exit 1 when a committed page is stale
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { variables as controller } from '../packages/controller/src/settings.ts'
import { errorTable, meshErrorCodes } from '../packages/core/src/errors/index.ts'
import { variables as node } from '../packages/node/src/settings.ts'
import { maxSeries } from '../packages/runtime/src/metrics/index.ts'
import { variables as common } from '../packages/runtime/src/settings/common.ts'
import type { SettingsSchema } from '../packages/runtime/src/settings/index.ts'
import { variables as waypoint } from '../packages/waypoint/src/program/settings.ts'
import { variables as ztunnel } from '../packages/ztunnel/src/settings.ts'

const root = join(import.meta.dirname, '..')
const generated = '<!-- Written by tools/generate-docs.ts; edit the code instead. -->'

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(headings), `|${'---|'.repeat(headings.length)}`, ...rows.map(line)].join('\n')
}

function page(title: string, intro: string, ...parts: readonly string[]): string {
  return `${[generated, `# ${title}`, intro, ...parts].join('\n\n')}\n`
}

function errorsPage(): string {
  const rows = meshErrorCodes.map((code) => {
    const { title, httpStatus, hboneStatus, grpcStatus, responseFlag } = errorTable[code]
    return [`\`${code}\``, title, `${httpStatus}`, `${hboneStatus}`, `${grpcStatus}`, `\`${responseFlag}\``]
  })
  return page(
    'Errors',
    'Every reason for which a proxy refuses or ends something. Waypoints log the code as `reason` beside the `error` in words; the response flag is a label of metrics.',
    table(['code', 'what happened', 'HTTP', 'CONNECT', 'gRPC', 'response flag'], rows),
  )
}

/** The comment above each variable of a schema: its text in the source, by its key. */
function commentsOf(file: string): ReadonlyMap<string, string> {
  const source = readFileSync(join(root, file), 'utf8')
  const comments = new Map<string, string>()
  for (const [, comment, key] of source.matchAll(/^ {2}\/\*\* (.*?) \*\/\n {2}(\w+): \w+\(/gm))
    comments.set(key!, comment!)
  return comments
}

function variablesOf(program: string, file: string, variables: SettingsSchema): string {
  const comments = commentsOf(file)
  const rows = Object.entries(variables).map(([key, { name, expected, fallback }]) => {
    const comment = comments.get(key)
    if (comment === undefined) throw new Error(`${file}: ${key} (${name}) has no comment to document it`)
    return [`\`${name}\``, comment, expected, defaultOf(key, fallback)]
  })
  return `## ${program}\n\n${table(['variable', 'what it is', 'accepted', 'default'], rows)}`
}

function defaultOf(key: string, fallback: { readonly value: unknown } | undefined): string {
  if (fallback === undefined) return 'required'
  const { value } = fallback
  if (value === undefined || value === '') return ''
  if (key.endsWith('Ms')) return `\`${Number(value) / 1000}s\``
  return `\`${String(value)}\``
}

function settingsPage(): string {
  return page(
    'Settings',
    'The environment variables of the programs. A variable that cannot be read stops the start with its name, its value and what is accepted; an empty one counts as absent. Names are Istio’s where Istio has the setting.',
    variablesOf('All programs', 'packages/runtime/src/settings/common.ts', common),
    variablesOf('controller', 'packages/controller/src/settings.ts', controller),
    '`PROXY_ENV_NAME` sets `NAME` for the waypoints and gateways that the controller makes.',
    variablesOf('node agent', 'packages/node/src/settings.ts', node),
    variablesOf('ztunnel', 'packages/ztunnel/src/settings.ts', ztunnel),
    variablesOf('waypoint', 'packages/waypoint/src/program/settings.ts', waypoint),
  )
}

/** Every metric that a program's source registers: by `metrics.<type>(name, help` or the waypoint's own `register`. */
function metricsOf(program: string): string {
  const found = new Map<string, readonly string[]>()
  for (const file of globSync(`packages/${program}/src/**/*.ts`, { cwd: root }).sort()) {
    const source = readFileSync(join(root, file), 'utf8')
    for (const [, type, name, help] of source.matchAll(
      /\b(?:metrics\.)?(counter|gauge|histogram|register)\(\s*'([a-z][a-z0-9_]+)',\s*'([^']+)'/g,
    )) {
      found.set(name!, [`\`${name}\``, type === 'register' ? 'counter' : type!, help!])
    }
  }
  const rows = [...found.values()].sort((a, b) => (a[0]! < b[0]! ? -1 : 1))
  return `## ${program}\n\n${table(['metric', 'type', 'what it counts'], rows)}`
}

function metricsPage(): string {
  return page(
    'Metrics',
    `In the Prometheus format under \`/metrics\`; ports are in [settings.md](settings.md). Metrics named \`istio_\` have Istio’s names and labels. Each program also has the process’s own (\`process_\`, \`nodejs_\`), and \`wishbone_metric_series_dropped_total\`, a counter by \`metric\`: a metric keeps at most ${maxSeries.toLocaleString('en')} series, and one that is not in use gives its place to the next.`,
    ...['controller', 'node', 'ztunnel', 'waypoint'].map(metricsOf),
  )
}

const pages: Readonly<Record<string, string>> = {
  'docs/errors.md': errorsPage(),
  'docs/settings.md': settingsPage(),
  'docs/metrics.md': metricsPage(),
}

for (const [file, text] of Object.entries(pages)) {
  const path = join(root, file)
  if (!process.argv.includes('--check')) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text) {
    process.stderr.write(`${file} is stale: run 'node tools/generate-docs.ts' and commit the result\n`)
    process.exitCode = 1
  }
}
