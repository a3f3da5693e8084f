// Brings the working tree's build into the cluster: image, CRDs, deploy/install.yaml, rollout.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { applyObject, getObject, type KubeClient, listObjects } from '@wishbone/cli'
import type { KubeObject } from '@wishbone/runtime/kube'
import { readPath } from '@wishbone/runtime/manifests'
import { checkout, isOwnCluster } from './place.ts'

export interface Image {
  /** As manifests name it. */
  readonly name: string
  readonly digest: string
  /** OCI archive. */
  readonly file: string
}

const establishLimitMs = 30_000
const rolloutLimitMs = 300_000
const workloads = ['Deployment', 'DaemonSet']
/** The release's image, wherever a registry's name stands before it. */
const releaseImage = /^(.*\/)?wishbone(:[^/]+|@.+)$/

/** `commit`: of this revision instead of the working tree. Throws at the first step that fails, with what to do. */
export async function installBuild(
  client: KubeClient,
  commit: string | undefined,
  say: (line: string) => void,
): Promise<Image> {
  const image = await buildImage(commit, say)
  if (isOwnCluster()) {
    await runScript('cluster:load-image', [image.file], say)
  } else {
    say(`this is not the cluster of 'npm run cluster:up': its nodes must already have ${image.name} (${image.file})`)
  }
  for (const definition of await applyAll(client, 'deploy/crds', say)) await established(client, definition)
  const objects = await applyAll(client, 'deploy/install.yaml', say, (object) => withImage(object, image.name))
  for (const object of objects) if (workloads.includes(object.kind)) await rolledOut(client, object, say)
  return image
}

async function buildImage(commit: string | undefined, say: (line: string) => void): Promise<Image> {
  const last = (await runScript('image', commit === undefined ? [] : ['--commit', commit], say)).at(-1) ?? ''
  const [, name, digest, file] = /^IMAGE (\S+) DIGEST (\S+) FILE (\S+)$/.exec(last) ?? []
  if (!name || !digest || !file) throw new Error(`'npm run image' ended without naming an image: ${last}`)
  return { name, digest, file }
}

/** The lines that the script prints. */
async function runScript(name: string, args: readonly string[], say: (line: string) => void): Promise<string[]> {
  const command = ['run', '--silent', name, ...(args.length > 0 ? ['--', ...args] : [])]
  const child = spawn('npm', command, { cwd: checkout, stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const closed = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    say(line)
  }
  if ((await closed) !== 0) throw new Error(`'npm run ${name}' failed`)
  return lines
}

/** Every object below `path`, applied in order. */
async function applyAll(
  client: KubeClient,
  path: string,
  say: (line: string) => void,
  change: (object: KubeObject) => KubeObject = (object) => object,
): Promise<readonly KubeObject[]> {
  const files = readPath(join(checkout, path))
  const [mistake] = files.flatMap(({ mistakes }) => mistakes)
  if (mistake) throw new Error(`${mistake.place.file}:${mistake.place.line}: ${mistake.message}`)
  const objects = files.flatMap((file) => file.objects.map(({ object }) => change(object)))
  const counts = { created: 0, configured: 0, unchanged: 0 }
  for (const object of objects) counts[await applyObject(client, object)]++
  const summary = Object.entries(counts).map(([outcome, count]) => `${count} ${outcome}`)
  say(`${path}: ${summary.join(', ')}`)
  return objects
}

/** The object with every container of the release's image, and what the controller makes, on `image`. */
function withImage(object: KubeObject, image: string): KubeObject {
  if (!workloads.includes(object.kind)) return object
  return JSON.parse(JSON.stringify(object), (key, value: unknown) =>
    (key === 'image' || key === 'value') && typeof value === 'string' && releaseImage.test(value) ? image : value,
  ) as KubeObject
}

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/** Until then the API server does not know the kind. */
async function established(client: KubeClient, object: KubeObject): Promise<void> {
  const kind = await client.kindOf(object)
  for (const end = Date.now() + establishLimitMs; ; await delay(100)) {
    const { status } = (await getObject(client, kind, undefined, object.metadata.name)) as Definition
    if (status?.conditions?.some((condition) => condition.type === 'Established' && condition.status === 'True')) return
    if (Date.now() > end) throw new Error(`CustomResourceDefinition ${object.metadata.name} is not established`)
  }
}

interface Rollout extends KubeObject {
  readonly spec: { readonly replicas?: number }
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
    readonly desiredNumberScheduled?: number
    readonly updatedNumberScheduled?: number
    readonly numberAvailable?: number
  }
}

async function rolledOut(client: KubeClient, object: KubeObject, say: (line: string) => void): Promise<void> {
  const kind = await client.kindOf(object)
  const { namespace, name } = object.metadata
  const started = Date.now()
  for (;;) {
    const { metadata, spec, status = {} } = (await getObject(client, kind, namespace, name)) as Rollout
    const wanted = status.desiredNumberScheduled ?? spec.replicas ?? 1
    const updated = status.updatedNumberScheduled ?? status.updatedReplicas ?? 0
    const available = status.numberAvailable ?? status.availableReplicas ?? 0
    const old = (status.replicas ?? updated) - updated
    const seen = (status.observedGeneration ?? 0) >= (metadata.generation ?? 0)
    if (seen && updated >= wanted && available >= wanted && old <= 0) {
      return say(`${object.kind} ${name}: ${wanted} available`)
    }
    if (Date.now() - started > rolloutLimitMs)
      throw new Error(
        `${object.kind} ${namespace}/${name} has ${updated} of ${wanted} new pods and ${available} available after ${rolloutLimitMs / 1000} s; see 'kubectl describe pod -n ${namespace}'`,
      )
    await delay(500)
  }
}

interface PodWithStatus extends KubeObject {
  readonly status?: { readonly containerStatuses?: readonly { readonly image: string; readonly imageID: string }[] }
}

/** The images that the programs in `namespace` run, each once, as the nodes' runtimes name them. */
export async function runningImages(client: KubeClient, namespace: string): Promise<readonly string[]> {
  const pods = (await listObjects(client, await client.kindNamed('pods'), namespace)) as readonly PodWithStatus[]
  // What is about to go is not what is tested.
  const staying = pods.filter(
    ({ metadata }) => (metadata as { deletionTimestamp?: string }).deletionTimestamp === undefined,
  )
  const statuses = staying.flatMap(({ status }) => status?.containerStatuses ?? [])
  return [...new Set(statuses.map(({ image, imageID }) => `${image} ${imageID}`))].sort()
}
