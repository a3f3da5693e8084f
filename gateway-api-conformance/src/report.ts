// The report as the suite writes it, upstream's layout for it, and what may not differ from the committed one.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Arguments } from './arguments.ts'
import { checkout, releaseVersion } from './place.ts'
import type { Plan } from './plan.ts'

export interface Report {
  readonly gatewayAPIVersion: string
  readonly gatewayAPIChannel: string
  readonly profiles?: readonly ProfileReport[]
  readonly succeededProvisionalTests?: readonly string[]
}

interface ProfileReport {
  readonly name: string
  readonly core: Outcome
  readonly extended?: Outcome
}

interface Outcome {
  readonly result: string
  readonly statistics: { readonly Passed: number; readonly Failed: number; readonly Skipped: number }
  readonly supportedFeatures?: readonly string[]
  readonly unsupportedFeatures?: readonly string[]
}

const channel = 'standard'
const mode = 'default'
const url = 'https://wishbone.dev'
const version = releaseVersion()
/** Upstream: `<channel>-<version>-<mode>-report.yaml`. */
const name = `${channel}-${version}-${mode}-report.yaml`
/** As upstream's conformance/reports. */
const committedFolder = join(checkout, 'gateway-api-conformance/reports/v1.7/wishbone')

export function reportFile(folder: string): string {
  return join(folder, name)
}

/** The flags of the suite for a run. */
export function suiteArguments(asked: Arguments, plan: Plan): readonly string[] {
  // The suite's own --run-test takes one name; this way the tests' names are Go's subtests.
  const single = asked.tests.length > 0
  const tests = single ? `^TestConformance$/^(${asked.tests.join('|')})$` : '^TestConformance$'
  return [
    '-test.v=test2json',
    '-test.timeout=0',
    `-test.run=${tests}`,
    ...(asked.parallel === undefined ? [] : [`-test.parallel=${asked.parallel}`]),
    '--gateway-class=wishbone',
    `--supported-features=${plan.features.join(',')}`,
    ...(asked.labelled ? ['--namespace-labels=istio.io/dataplane-mode=ambient'] : []),
    `--usable-address=${asked.usableAddress}`,
    `--unusable-address=${asked.unusableAddress}`,
    ...(single
      ? []
      : [
          `--conformance-profiles=${asked.profiles.join(',')}`,
          `--report-output=${reportFile(asked.reportFolder)}`,
          '--organization=wishbone',
          '--project=wishbone',
          `--url=${url}`,
          `--version=${version}`,
          `--contact=${url}/support`,
          `--mode=${mode}`,
        ]),
  ]
}

/** Prints the run's totals and compares with the committed report, or replaces that; returns what is wrong. */
export function judgeReport(asked: Arguments, allPassed: boolean, print: (line: string) => void): readonly string[] {
  const file = reportFile(asked.reportFolder)
  const report = readReport(file)
  if (!report) return [`the suite wrote no report ${file}`]
  writeFileSync(join(asked.reportFolder, 'README.md'), readme())
  print('')
  for (const line of totals(report)) print(line)
  const committedFile = reportFile(committedFolder)
  const committed = readReport(committedFile)
  if (!asked.update) {
    if (!committed) return [`there is no committed report ${committedFile}; --update writes it`]
    return differences(report, committed).map((line) => `differs from the committed report: ${line}`)
  }
  if (!allPassed) return ['not updated: only a run whose tests all pass is committed']
  const lost = committed ? lostProfiles(report, committed) : []
  if (lost.length > 0) return [`not updated: the committed report has ${lost.join(', ')} too; run them together`]
  mkdirSync(committedFolder, { recursive: true })
  copyFileSync(file, committedFile)
  writeFileSync(join(committedFolder, 'README.md'), readme())
  print(`updated ${committedFile}`)
  return []
}

function readReport(file: string): Report | undefined {
  return existsSync(file) ? (parse(readFileSync(file, 'utf8')) as Report) : undefined
}

/** The names of its profiles. */
export function committedProfiles(): readonly string[] {
  return (readReport(reportFile(committedFolder))?.profiles ?? []).map((profile) => profile.name)
}

/** One line a profile. */
export function totals(report: Report): readonly string[] {
  const counts = ({ statistics: { Passed, Failed, Skipped } }: Outcome): string =>
    `${Passed} passed, ${Failed} failed, ${Skipped} skipped`
  return (report.profiles ?? []).map(
    ({ name, core, extended }) =>
      `${name.padEnd(13)} core ${counts(core)}${extended ? `; extended ${counts(extended)}` : ''}`,
  )
}

/** What differs between the profiles of a run and the same ones of the committed report, a line each. */
export function differences(run: Report, committed: Report): readonly string[] {
  const found: string[] = []
  const compare = (what: string, now: unknown, before: unknown): void => {
    const [text, committedText] = [JSON.stringify(now ?? null), JSON.stringify(before ?? null)]
    if (text !== committedText) found.push(`${what} ${text}, committed ${committedText}`)
  }
  compare('gatewayAPIVersion', run.gatewayAPIVersion, committed.gatewayAPIVersion)
  compare('gatewayAPIChannel', run.gatewayAPIChannel, committed.gatewayAPIChannel)
  for (const profile of run.profiles ?? []) {
    const before = committed.profiles?.find((other) => other.name === profile.name)
    for (const part of ['core', 'extended'] as const)
      for (const field of ['statistics', 'result', 'supportedFeatures', 'unsupportedFeatures'] as const)
        compare(`${profile.name} ${part} ${field}`, profile[part]?.[field], before?.[part]?.[field])
  }
  return found
}

/** Profiles of the committed report that the run did not have: committing the run's would lose them. */
export function lostProfiles(run: Report, committed: Report): readonly string[] {
  const names = new Set((run.profiles ?? []).map((profile) => profile.name))
  return (committed.profiles ?? []).map((profile) => profile.name).filter((profile) => !names.has(profile))
}

/** The README that upstream asks for beside a report. */
function readme(): string {
  return `# Wishbone

[Wishbone](${url}) is a service mesh without sidecars and a gateway whose only configuration language is the Gateway API.

## Table of contents

| API channel | Implementation version | Mode | Report |
|-------------|------------------------|------|--------|
| ${channel} | [${version}](${url}/releases/${version}) | ${mode} | [${version} report](./${name}) |

## Reproduce

From a checkout of Wishbone at ${version}, on a Linux machine with Node 20 or later and Go:

1. \`npm run cluster:up\` makes a cluster on this machine (as root); or set \`KUBECONFIG\` to a cluster of yours with a
   LoadBalancer implementation, whose nodes have the image that \`npm run image\` builds.
2. \`npm run conformance -- PROFILE...\` with the profiles of the report installs Wishbone, runs the suite and writes the
   report and this file to \`.wishbone/conformance\`.
`
}
