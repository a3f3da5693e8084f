// npm run e2e: the demo's scenes, and those that only a cluster can show, on the cluster of $KUBECONFIG, where the mesh and the
// examples' images are installed. Exits non-zero with what differed.
//   --scene N[,N…]  only these, in this order; may be repeated
//   --keep          what an earlier run left is used, and what this one makes stays
//   --earlier IMAGE the image of an earlier build, which the nodes have: the mesh is taken back to it and forth again
//   --list          names the scenes
import { execFile } from 'node:child_process'
import { existsSync, globSync, readFileSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createKubeClient, type KubeClient, readKubeConfig } from '@wishbone/cli'
import { type Cluster, createCluster, interruptWaits, isLeaving, isReady, until } from '@wishbone/testing/cluster'
import { readCommandLine } from '@wishbone/testing/command-line'
import { followWarnings, notReady, type Warnings } from './cluster/explain.ts'
import { namespaceGone, removeNamespace } from './cluster/namespaces.ts'
import { type Outside, startOutside } from './cluster/outside.ts'
import { rolledOut, system, withZtunnelVariable } from './cluster/rollout.ts'
import { clusterScenes } from './cluster/scenes/index.ts'
import { playScene, type Theatre } from './play.ts'
import type { Scene } from './scene.ts'
import { scenes } from './scenes/index.ts'

const { values } = readCommandLine(import.meta.url, {
  options: {
    scene: { type: 'string', multiple: true, default: [] },
    keep: { type: 'boolean', default: false },
    earlier: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const all: readonly Scene[] = [...scenes, ...clusterScenes]
const say = (line: string): void => void process.stdout.write(`${line}\n`)

function chosenScenes(): readonly Scene[] {
  const numbers = values.scene.flatMap((word) => word.split(','))
  if (numbers.length === 0) return all
  return numbers.map((number) => {
    const found = all.find((scene) => scene.number === Number(number))
    if (!found) throw new Error(`there is no scene ${number}; --list names them`)
    return found
  })
}

/** Bookinfo and the toolbox: the files that the demo gives to the machine. */
function fixtures(): string {
  const files = ['../../bookinfo/manifests/*.yaml', '../base/*.yaml'].flatMap((pattern) =>
    globSync(fileURLToPath(new URL(pattern, import.meta.url)))
      .filter((path) => basename(path) !== 'images.yaml')
      .sort()
      .map((path) => readFileSync(path, 'utf8')),
  )
  return files.join('\n---\n')
}

const ownNamespaces = ['bookinfo', 'outside']

async function meshIsThere(cluster: Cluster): Promise<void> {
  const classes = await cluster.list('gatewayclasses').catch(() => [])
  if (!classes.some(({ metadata }) => metadata.name === 'wishbone-waypoint'))
    throw new Error(`the mesh is not installed in this cluster; kubectl apply -f deploy/install.yaml`)
  await rolledOut(cluster, 'deployments', system, 'wishbone-controller')
  await rolledOut(cluster, 'daemonsets', system, 'wishbone-node')
  await rolledOut(cluster, 'daemonsets', system, 'ztunnel')
}

async function setUp(cluster: Cluster): Promise<void> {
  for (const name of ownNamespaces) {
    const left = (await cluster.list('namespaces')).find(({ metadata }) => metadata.name === name)
    if (!left || (values.keep && !isLeaving(left))) continue
    await removeNamespace(cluster, name)
    await namespaceGone(cluster, name)
  }
  await cluster.apply(fixtures())
  const started = Date.now()
  await until(
    "Bookinfo's and the toolbox's pods",
    async () => {
      const pods = (await Promise.all(ownNamespaces.map((name) => cluster.pods(name, '')))).flat()
      const waiting = pods.filter((pod) => pod.status?.phase !== 'Succeeded' && !isReady(pod))
      if (pods.length > 0 && waiting.length === 0) return true
      throw new Error(`not ready: ${waiting.map((pod) => pod.metadata.name).join(', ')}`)
    },
    180_000,
  )
  say(`Bookinfo and the toolbox run after ${((Date.now() - started) / 1000).toFixed(1)} s.`)
}

function theatreOf(cluster: Cluster): Theatre {
  return {
    cluster,
    say,
    earlierImage: values.earlier,
    crashNode: isOwnCluster() ? crashNode : undefined,
    shortCertificates: () => {
      say(`  done      kubectl -n ${system} set env daemonset/ztunnel SECRET_TTL=40`)
      return withZtunnelVariable(cluster, 'SECRET_TTL', '40')
    },
    gatewayUrl: (namespace, name, port) =>
      until(`an address of Gateway ${namespace}/${name}`, async () => {
        const { status } = (await cluster.get('gateways', namespace, name)) as {
          status?: { addresses?: readonly { readonly value: string }[] }
        }
        const host = status?.addresses?.[0]?.value
        return host && `http://${host.includes(':') ? `[${host}]` : host}:${port}`
      }),
  }
}

async function play(theatre: Theatre, chosen: readonly Scene[], warnings: Warnings): Promise<boolean> {
  const outcomes: { readonly scene: Scene; readonly seconds: number; readonly difference: string | undefined }[] = []
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      interrupted = true
      interruptWaits(`interrupted by ${signal}`)
    })
  for (const scene of chosen) {
    if (interrupted) break
    const started = new Date()
    const difference = await playScene(scene, theatre)
    outcomes.push({ scene, seconds: (Date.now() - started.getTime()) / 1000, difference })
    if (difference === undefined) continue
    const pods = await notReady(theatre.cluster, [system, ...ownNamespaces]).catch(() => [])
    for (const line of [...pods, ...warnings.since(started)]) say(`  seen      ${line}`)
  }
  say('')
  for (const { scene, seconds, difference } of outcomes) {
    const result = difference === undefined ? 'passed' : 'DIFFERS'
    say(`${String(scene.number).padStart(3)}  ${result}  ${seconds.toFixed(1).padStart(6)} s  ${scene.title}`)
    if (difference !== undefined) say(`     ${difference}`)
  }
  const failed = outcomes.filter(({ difference }) => difference !== undefined).length
  say(`scenes: ${outcomes.length - failed} as expected, ${failed} different`)
  return failed === 0 && !interrupted
}

async function run(client: KubeClient, outside: Outside): Promise<number> {
  const cluster = createCluster(client, outside.url)
  await meshIsThere(cluster)
  const chosen = chosenScenes()
  await setUp(cluster)
  using warnings = followWarnings(client)
  const passed = await play(theatreOf(cluster), chosen, warnings)
  if (!values.keep) for (const name of ownNamespaces) await removeNamespace(cluster, name)
  return passed ? 0 : 1
}

const ownKubeconfig = join(process.env['WISHBONE_CLUSTER_STATE'] ?? '/var/tmp/wishbone-cluster', 'admin.kubeconfig')

/** $KUBECONFIG, or that of `npm run cluster:up`. */
function kubeconfigPath(): string {
  const named = process.env['KUBECONFIG']
  if (named) return named
  if (existsSync(ownKubeconfig)) return ownKubeconfig
  throw new Error('KUBECONFIG names no cluster; npm run cluster:up makes one')
}

function isOwnCluster(): boolean {
  return existsSync(ownKubeconfig) && realpathSync(kubeconfigPath()) === realpathSync(ownKubeconfig)
}

/** Nodes of our own cluster have a switch. It is on again when this is disposed of, once or more often. */
async function crashNode(name: string): Promise<AsyncDisposable> {
  const cwd = fileURLToPath(new URL('../../..', import.meta.url))
  const npm = promisify(execFile)
  const turn = (verb: string) => npm('npm', ['run', '--silent', verb, '--', name], { cwd })
  let on: Promise<unknown> | undefined
  const power = {
    async [Symbol.asyncDispose]() {
      on ??= turn('cluster:node-start').catch((cause: Error) => {
        on = undefined
        throw cause
      })
      await on
    },
  }
  await turn('cluster:node-stop').catch(async (cause: Error) => {
    await power[Symbol.asyncDispose]()
    throw cause
  })
  return power
}

async function main(): Promise<number> {
  if (values.list) {
    for (const { number, title } of all) say(`${String(number).padStart(3)}  ${title}`)
    return 0
  }
  const client = createKubeClient(readKubeConfig(kubeconfigPath()))
  try {
    await using outside = await startOutside(client.config.server, process.env['OUTSIDE_URL'])
    return await run(client, outside)
  } finally {
    client.close()
  }
}

process.exitCode = await main().catch((cause: Error) => {
  process.stderr.write(`e2e: ${cause.message}\n`)
  return 1
})
