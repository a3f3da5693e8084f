// wishbone status: the mesh in one look: its programs, who is enrolled, gateways and routes that need attention.
import { isStatus, type KubeObject } from '@wishbone/runtime/kube'
import type { KubeClient } from '../kube/client.ts'
import { listObjects } from '../kube/objects.ts'
import { type ClusterOptions, connectCluster, print, printTable } from './context.ts'
import { stateOf } from './get.ts'

const watched = [
  'gateways',
  'listenersets',
  'httproutes',
  'grpcroutes',
  'tcproutes',
  'tlsroutes',
  'udproutes',
  'backendtlspolicies',
  'authorizationpolicies',
  'peerauthentications',
] as const

async function listed(client: KubeClient, word: string): Promise<readonly KubeObject[]> {
  // Only a kind that the cluster does not know has no objects; who cannot be asked has not said so.
  const kind = await client.kindNamed(word).catch((cause: unknown) => {
    if (isStatus(cause, 404)) return undefined
    throw cause
  })
  return kind ? listObjects(client, kind, undefined) : []
}

const ofTheMesh = /^(istio\.io|wishbone\.dev)\//

function isReady(pod: KubeObject): boolean {
  const status = pod['status'] as { conditions?: { type: string; status: string }[] } | undefined
  return (status?.conditions ?? []).some((condition) => condition.type === 'Ready' && condition.status === 'True')
}

/** A Service with which the mesh has trouble, such as a waypoint that does not exist; not one that opted out of waypoints. Pure. */
export function isTroubledService({ kind, status }: KubeObject & { readonly status?: unknown }): boolean {
  const { conditions = [] } = (status ?? {}) as {
    conditions?: { type: string; status: string; reason?: string }[]
  }
  return (
    kind === 'Service' &&
    conditions.some((one) => ofTheMesh.test(one.type) && one.status === 'False' && one.reason !== 'OptedOut')
  )
}

/** Exit status 1 when some program of the mesh is not ready or some object is not accepted. */
export async function status(options: ClusterOptions & { readonly system?: string }): Promise<number> {
  const system = options.system ?? 'wishbone-system'
  const client = connectCluster(options)
  try {
    const pods = await listed(client, 'pods')
    const own = pods.filter((pod) => pod.metadata.namespace === system)
    print('PROGRAMS')
    if (own.length === 0) print(`  none in ${system}: Wishbone is not installed here`)
    for (const pod of own) print(`  ${isReady(pod) ? 'ready    ' : 'NOT READY'}  ${pod.metadata.name}`)
    const byNamespace = new Map<string, { total: number; enrolled: number }>()
    for (const pod of pods) {
      const count = byNamespace.get(pod.metadata.namespace ?? '') ?? { total: 0, enrolled: 0 }
      count.total++
      if (pod.metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled') count.enrolled++
      byNamespace.set(pod.metadata.namespace ?? '', count)
    }
    print('\nPODS')
    printTable(
      ['  NAMESPACE', 'PODS', 'IN THE MESH'],
      [...byNamespace].map(([name, count]) => [`  ${name}`, String(count.total), String(count.enrolled)]),
    )
    const objects = [
      ...(await Promise.all(watched.map((word) => listed(client, word)))).flat(),
      ...(await listed(client, 'services')).filter(isTroubledService),
    ]
    print('\nCONFIGURATION')
    let troubled = own.filter((pod) => !isReady(pod)).length + (own.length === 0 ? 1 : 0)
    if (objects.length === 0) print('  no Gateways, routes or policies')
    for (const object of objects) {
      const state = stateOf(object)
      if (/=False/.test(state)) troubled++
      print(`  ${object.kind} ${object.metadata.namespace}/${object.metadata.name}: ${state || 'no status yet'}`)
    }
    return troubled === 0 ? 0 : 1
  } finally {
    client.close()
  }
}
