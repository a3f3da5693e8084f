// `npm run conformance`: the upstream suite, unmodified, against the working tree's build on the cluster of KUBECONFIG.
// Ends with 0 when every wanted test passed and the report equals the committed one.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createKubeClient, type KubeClient, readKubeConfig } from '@wishbone/cli'
import { gatewayFeatures, meshFeatures } from '@wishbone/controller/features'
import { whileAdjusted } from './adjust.ts'
import { type Arguments, readArguments } from './arguments.ts'
import { installBuild, runningImages } from './install.ts'
import { kubeconfigPath } from './place.ts'
import { type Plan, planProfiles, planTests } from './plan.ts'
import { removeRemains } from './remains.ts'
import { committedProfiles, judgeReport, reportFile, suiteArguments } from './report.ts'
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
    return await whileAdjusted(client, () => test(withProfiles(asked), client, tested))
  } finally {
    client.close()
  }
}

function withProfiles(asked: Arguments): Arguments {
  if (asked.profiles.length + asked.tests.length > 0) return asked
  const profiles = committedProfiles()
  if (profiles.length === 0) throw new Error('there is no committed report to repeat: name the profiles')
  return { ...asked, profiles }
}

async function test(asked: Arguments, client: KubeClient, tested: readonly string[]): Promise<boolean> {
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
  const atEnd = await runningImages(client, systemNamespace)
  const wrong = problems(plan, ended, ok)
  if (atEnd.join() !== tested.join()) wrong.push(`the build changed during the run, to ${atEnd.join(', ')}`)
  const differing = single ? [] : judgeReport(asked, wrong.length === 0, print)
  const passed = ended.filter(({ test: name, result }) => wanted.has(name) && result === 'passed')
  print(`total         ${passed.length} of ${wanted.size} tests passed`)
  for (const line of [...wrong, ...differing]) print(line)
  return wrong.length + differing.length === 0
}

/** What is wrong with how the tests ended, a line a kind of mistake. */
function problems(plan: Plan, ended: readonly Ended[], ok: boolean): string[] {
  const results = new Map(ended.map(({ test: name, result }) => [name, result]))
  const those = (result: Ended['result'] | undefined): readonly string[] =>
    plan.wanted.filter((name) => results.get(name) === result)
  const skipped = those('skipped').map((name) => {
    const lacking = plan.missing.get(name)
    return lacking ? `${name} (needs ${lacking.join(', ')})` : name
  })
  const kinds = { failed: those('failed'), skipped, 'never ended': those(undefined) }
  const wrong = Object.entries(kinds).flatMap(([kind, names]) =>
    names.length > 0 ? [`${names.length} ${kind}: ${names.join(', ')}`] : [],
  )
  return wrong.length === 0 && !ok ? ['the suite failed outside of its tests: see what it says above'] : wrong
}

try {
  process.exitCode = (await main(readArguments(process.argv.slice(2)))) ? 0 : 1
} catch (cause) {
  process.stderr.write(`${(cause as Error).message}\n`)
  process.exitCode = 2
}
