// How long it takes until the running pods of one node are in the mesh, from the label on their namespace, and out of it again;
// on the cluster of $KUBECONFIG.
import { setTimeout as delay } from 'node:timers/promises'
import { type Cluster, connectCluster, isReady, until } from '@wishbone/testing/cluster'
import { Missing } from './tools.ts'

const namespace = 'wishbone-bench-enrol'
const goalSeconds = 5
const label = 'istio.io/dataplane-mode'

/** `podCount` pods, `rounds` times in and out. True when each of 50 or fewer is in within the goal. */
export async function benchEnrol(podCount: number, rounds: number): Promise<boolean> {
  const file = process.env['KUBECONFIG']
  if (file === undefined) throw new Missing('enrol needs a cluster: set KUBECONFIG, with the mesh installed there')
  const cluster = connectCluster(file)
  try {
    const node = await setUp(cluster, podCount)
    return await measure(cluster, node, { podCount, rounds })
  } finally {
    await cluster.remove(`apiVersion: v1\nkind: Namespace\nmetadata: { name: ${namespace} }\n`)
  }
}

interface NodeObject {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly taints?: readonly unknown[] }
  readonly status?: { readonly images?: readonly { readonly names?: readonly string[] }[] }
}

async function setUp(cluster: Cluster, podCount: number): Promise<string> {
  const nodes = (await cluster.list('nodes')) as unknown as readonly NodeObject[]
  const node = nodes.findLast(({ spec }) => (spec.taints ?? []).length === 0)
  if (!node) throw new Missing('the cluster has no node without taints')
  const images = (node.status?.images ?? []).flatMap(({ names }) => names ?? [])
  const image = images.find((name) => /\/pause:[^@]+$/.test(name)) ?? 'registry.k8s.io/pause:3.10'
  await cluster.apply(`apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: idle, namespace: ${namespace} }
spec:
  replicas: ${podCount}
  selector: { matchLabels: { app: idle } }
  template:
    metadata: { labels: { app: idle } }
    spec:
      nodeName: ${node.metadata.name}
      terminationGracePeriodSeconds: 0
      containers: [{ name: idle, image: "${image}", imagePullPolicy: IfNotPresent }]
`)
  await until(
    `${podCount} pods to run`,
    async () => (await cluster.pods(namespace, 'app=idle')).filter(isReady).length === podCount,
    300_000,
  )
  return node.metadata.name
}

async function measure(
  cluster: Cluster,
  node: string,
  { podCount, rounds }: { readonly podCount: number; readonly rounds: number },
): Promise<boolean> {
  const enrolled = async (): Promise<number> =>
    (await cluster.pods(namespace, 'app=idle')).filter(
      ({ metadata }) => metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled',
    ).length
  const turn = async (value: string | null, wanted: number): Promise<number> => {
    const started = performance.now()
    await cluster.patch('namespaces', undefined, namespace, { metadata: { labels: { [label]: value } } })
    await until(`${wanted} pods of ${node} in the mesh`, async () => (await enrolled()) === wanted, 120_000)
    return (performance.now() - started) / 1000
  }
  const into: number[] = []
  const outOf: number[] = []
  for (let round = 0; round < rounds; round++) {
    await delay(2_000)
    into.push(await turn('ambient', podCount))
    await delay(2_000)
    outOf.push(await turn(null, 0))
  }
  const show = (seconds: readonly number[]): string => seconds.map((value) => `${value.toFixed(1)} s`).join('  ')
  process.stdout.write(`\nenrol: ${podCount} running pods of ${node}, by the label on their namespace
  into the mesh     ${show(into)}
  out of the mesh   ${show(outOf)}
  goal: 50 pods into the mesh within ${goalSeconds} s\n`)
  return podCount > 50 || into.every((seconds) => seconds < goalSeconds)
}
