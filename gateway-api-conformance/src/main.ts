// `npm run conformance`: the upstream suite, unmodified, against the working tree's build on the cluster of KUBECONFIG.
// Ends with 0 when every wanted test passed and the report equals the committed one.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createKubeClient, readKubeConfig } from '@wishbone/cli'
import { gatewayFeatures, meshFeatures } from '@wishbone/controller/features'
import { type Arguments, readArguments } from './arguments.ts'
import { installBuild, runningImages } from './install.ts'
import { kubeconfigPath } from './place.ts'
import { type Plan, planProfiles, planTests } from './plan.ts'
import { removeRemains } from './remains.ts'
import { judgeReport, reportFile, suiteArguments } from './report.ts'
import { type Ended, runSuite } from './run.ts'
import { buildSuite } from './suite.ts'

const systemNamespace = 'wishbone-system'
const print = (line: string): boolean => process.stdout.write(`${line}\n`)
const say = (line: string): boolean => process.stderr.write(`conformance: ${line}\n`)

async function main(asked: Arguments): Promise<boolean> {
  const client = createKubeClient(readKubeConfig(kubeconfigPath()))
  try {
    await removeRemains(client, say)
    if (!asked.installed) await installBuild(client, asked.commit, say)
    const tested = await runningImages(client, systemNamespace)
    if (tested.length === 0) throw new Error(`nothing runs in namespace ${systemNamespace}; leave out --installed`)
    if (asked.installOnly) return true
    return await test(asked, tested)
  } finally {
    client.close()
  }
}

async function test(asked: Arguments, tested: readonly string[]): Promise<boolean> {
  const suite = buildSuite(say)
  const supported = [...new Set([...gatewayFeatures, ...meshFeatures])]
  const single = asked.tests.length > 0
  const plan = single
    ? planTests(suite.catalogue, asked.tests)
    : planProfiles(suite.catalogue, supported, asked.profiles)
  const wanted = new Set(plan.wanted)
  mkdirSync(asked.reportFolder, { recursive: true })
  rmSync(reportFile(asked.reportFolder), { force: true })
  const logFile = join(asked.reportFolder, 'run.log')
  print(`${wanted.size} tests; everything that the suite says goes to ${logFile}`)
  for (const image of tested) print(`tested: ${image}`)
  const { ended, ok } = await runSuite({
    binary: suite.binary,
    args: suiteArguments(asked, plan),
    env: { ...process.env, KUBECONFIG: kubeconfigPath() },
    logFile,
    ignored: (name) => !wanted.has(name),
    print,
  })
  const complaints = single ? [] : judgeReport(asked, print)
  return summary(plan, ended, ok, complaints)
}

/** Prints what the run comes to; true when nothing is wrong. */
function summary(plan: Plan, ended: readonly Ended[], ok: boolean, complaints: readonly string[]): boolean {
  const results = new Map(ended.map(({ test: name, result }) => [name, result]))
  const without = (result: Ended['result'] | undefined): readonly string[] =>
    plan.wanted.filter((name) => results.get(name) === result)
  const failed = without('failed')
  const skipped = without('skipped').map((name) => {
    const lacking = plan.missing.get(name)
    return lacking ? `${name} (needs ${lacking.join(', ')})` : name
  })
  const unheard = without(undefined)
  print(
    `total         ${without('passed').length} of ${plan.wanted.length} passed, ${failed.length} failed, ${skipped.length} skipped`,
  )
  const wrong = [
    ...(failed.length > 0 ? [`failed: ${failed.join(', ')}`] : []),
    ...(skipped.length > 0 ? [`skipped: ${skipped.join(', ')}`] : []),
    ...(unheard.length > 0 ? [`never ended: ${unheard.join(', ')}`] : []),
    ...complaints,
    ...(!ok && failed.length === 0 ? ['the suite failed outside of its tests; see its log'] : []),
  ]
  for (const line of wrong) print(line)
  return wrong.length === 0
}

try {
  process.exitCode = (await main(readArguments(process.argv.slice(2)))) ? 0 : 1
} catch (cause) {
  process.stderr.write(`${(cause as Error).message}\n`)
  process.exitCode = 2
}
