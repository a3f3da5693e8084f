// The program `uninstall`, which runs before the mesh's own objects are deleted (the chart's pre-delete hook). Its marker is
// there already: the node agents have seen it and take every pod out. This waits for them, then stops the controller, has
// users' Gateways say so and deletes what that made in other namespaces. A node that does not answer is named and left behind, not waited for forever.
import {
  isStatus,
  KubeClient,
  type KubeObject,
  loadConnection,
  type ResourceKind,
  resourcePath,
} from '@wishbone/runtime/kube'
import { delay } from '@wishbone/runtime/lifecycle'
import { createLogger } from '@wishbone/runtime/log'
import { integer, readCommonSettings, readSettings } from '@wishbone/runtime/settings'
import { managedByLabel, managedByValue } from './deploy/index.ts'
import { kindOf } from './kube/index.ts'
import type { Log } from './log.ts'
import { gatewayApiVersion } from './translate/names.ts'
import { ofOurClasses, ourClasses, writeLastStatuses } from './uninstall-statuses.ts'

const variables = {
  /** How long to wait for the nodes. */
  timeoutSeconds: integer('UNINSTALL_TIMEOUT_SECONDS', 180),
} as const

const redirection = 'ambient.istio.io/redirection'
/** In the order in which their absence hurts least. */
const made = [
  ['v1', 'Service'],
  ['apps/v1', 'Deployment'],
  ['policy/v1', 'PodDisruptionBudget'],
  ['autoscaling/v2', 'HorizontalPodAutoscaler'],
  ['gateway.networking.k8s.io/v1', 'Gateway'],
  ['v1', 'ConfigMap'],
  ['v1', 'ServiceAccount'],
  ['gateway.networking.k8s.io/v1', 'GatewayClass'],
] as const

interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string }
  readonly status?: { readonly phase?: string }
}

interface Page<T> {
  readonly items?: readonly T[]
  readonly metadata?: { readonly continue?: string }
}

export interface UninstallOptions {
  readonly client: KubeClient
  readonly namespace: string
  readonly timeoutMs: number
  readonly pollMs?: number
  readonly log: Log
}

/** Resolves with the names of the nodes on which pods are still in the mesh. */
export async function uninstall({
  client,
  namespace,
  timeoutMs,
  pollMs = 1_000,
  log,
}: UninstallOptions): Promise<readonly string[]> {
  const deadline = performance.now() + timeoutMs
  let left = await enrolled(client)
  log.info('waiting for the node agents to take every pod out of the mesh', { pods: left.length })
  while (left.length > 0 && performance.now() < deadline) {
    await delay(pollMs)
    left = await enrolled(client)
  }
  const nodes = [...new Set(left.map(({ spec }) => spec?.nodeName ?? ''))].sort()
  if (left.length > 0)
    log.warn('pods are still in the mesh; clean these nodes as the README says under Uninstall', {
      nodes: nodes.join(', '),
      pods: left.length,
    })
  const deployment = resourcePath(kindOrThrow('apps/v1', 'Deployment'), namespace, 'wishbone-controller')
  // Otherwise it would make again what is deleted below.
  await remove(client, deployment, 'Foreground')
  while (performance.now() < deadline + 60_000 && (await exists(client, deployment))) await delay(pollMs)
  await takeLeave(client, log)
  for (const [apiVersion, name] of made) {
    const kind = kindOrThrow(apiVersion, name)
    for (const { metadata } of await list(client, kind, `${managedByLabel}=${managedByValue}`)) {
      if (metadata.labels?.[managedByLabel] !== managedByValue) continue
      await remove(client, resourcePath(kind, metadata.namespace, metadata.name), 'Background')
      log.info('deleted', { object: `${name}/${metadata.namespace ?? ''}/${metadata.name}` })
    }
  }
  return nodes
}

/** What the controller made itself is about to be deleted, and needs no status. */
async function takeLeave(client: KubeClient, log: Log): Promise<void> {
  const [classKind, gatewayKind] = [
    kindOrThrow(gatewayApiVersion, 'GatewayClass'),
    kindOrThrow(gatewayApiVersion, 'Gateway'),
  ]
  const isUsers = ({ metadata }: KubeObject): boolean => metadata.labels?.[managedByLabel] !== managedByValue
  const classes = await list(client, classKind)
  const gateways = await list(client, gatewayKind)
  await writeLastStatuses(client, gatewayKind, ofOurClasses(gateways, classes).filter(isUsers), log)
  await writeLastStatuses(client, classKind, ourClasses(classes).filter(isUsers), log)
}

async function enrolled(client: KubeClient): Promise<readonly Pod[]> {
  const pods = await list<Pod>(client, kindOrThrow('v1', 'Pod'))
  return pods.filter(
    ({ metadata, status }) =>
      metadata.annotations?.[redirection] !== undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed',
  )
}

async function list<T extends KubeObject>(
  client: KubeClient,
  kind: ResourceKind,
  labelSelector?: string,
): Promise<readonly T[]> {
  const items: T[] = []
  let next: string | undefined
  do {
    const query = { limit: 500, continue: next, labelSelector }
    const page = await client
      .request<Page<T>>('GET', resourcePath(kind), { query })
      .catch((cause: unknown): Page<T> => {
        // The kind is not installed.
        if (isStatus(cause, 404)) return {}
        throw cause
      })
    items.push(...(page.items ?? []))
    next = page.metadata?.continue || undefined
  } while (next !== undefined)
  return items
}

async function exists(client: KubeClient, path: string): Promise<boolean> {
  return client.get(path).then(
    () => true,
    (cause: unknown) => {
      if (isStatus(cause, 404)) return false
      throw cause
    },
  )
}

async function remove(client: KubeClient, path: string, propagationPolicy: string): Promise<void> {
  const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy }
  await client.request('DELETE', path, { body }).catch((cause: unknown) => {
    if (!isStatus(cause, 404)) throw cause
  })
}

function kindOrThrow(apiVersion: string, name: string): ResourceKind {
  const kind = kindOf(apiVersion, name)
  if (kind === undefined) throw new Error(`the kind ${apiVersion} ${name} is not known`)
  return kind
}

if (import.meta.main) {
  const { podNamespace, logFormat, logLevel } = readCommonSettings(process.env)
  const { timeoutSeconds } = readSettings(process.env, variables)
  const log = createLogger({ program: 'uninstall', format: logFormat, level: logLevel })
  const client = new KubeClient(await loadConnection(), 'wishbone-uninstall')
  await uninstall({ client, namespace: podNamespace, timeoutMs: timeoutSeconds * 1000, log })
  client.close()
}
