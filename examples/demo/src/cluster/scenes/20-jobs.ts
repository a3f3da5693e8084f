// Scene 20: Jobs run in the mesh, complete, and leave nothing behind in it, although their pods stay as objects.
import { type Cluster, isReady, until } from '@wishbone/testing/cluster'
import type { Scene } from '../../scene.ts'
import { leaksAfterAMinute, settledFootprint } from '../footprint.ts'
import { system } from '../rollout.ts'
import { openShop } from '../shop.ts'

const namespace = 'e2e-jobs'
const completions = 12

const job = `apiVersion: batch/v1
kind: Job
metadata: { name: visitor, namespace: ${namespace} }
spec:
  completions: ${completions}
  parallelism: 4
  backoffLimit: 0
  template:
    metadata: { labels: { app: visitor } }
    spec:
      restartPolicy: Never
      containers:
        - name: visitor
          image: wishbone/toolbox:0.1.0
          command: [node, src/client.ts, http, "http://server:8080/", --expect, "200"]
`

interface Dump {
  readonly workloads?: readonly { readonly name: string; readonly namespace: string }[]
  readonly workloadState?: Readonly<Record<string, { readonly info?: { readonly name?: string } }>>
}

/** Names of Job pods that a ztunnel still knows. */
async function remembered(cluster: Cluster): Promise<readonly string[]> {
  const names: string[] = []
  for (const pod of (await cluster.pods(system, 'app=ztunnel')).filter(isReady)) {
    const dump = JSON.parse(await cluster.fetch(pod, 15_000, '/config_dump')) as Dump
    names.push(...(dump.workloads ?? []).filter((workload) => workload.namespace === namespace).map(({ name }) => name))
    names.push(...Object.values(dump.workloadState ?? {}).map(({ info }) => info?.name ?? ''))
  }
  return names.filter((name) => name.startsWith('visitor-'))
}

export const jobs: Scene = {
  number: 20,
  title: `${completions} completions of a Job leave nothing behind`,
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, namespace)
    // The server's certificate and the tunnels of a first call are no leak.
    await cluster.toolbox(shop.client, 'http', `http://server.${namespace}:8080/`)
    const before = await settledFootprint(cluster)
    doing(`a Job whose ${completions} pods each call the mesh once`)
    await cluster.apply(job)
    const status = await until(
      'the Job to end',
      async () => {
        const found = (await cluster.get('jobs', namespace, 'visitor')) as {
          status?: { succeeded?: number; failed?: number }
        }
        const { succeeded = 0, failed = 0 } = found.status ?? {}
        return (succeeded === completions || failed > 0) && { succeeded, failed }
      },
      120_000,
    )
    check(`all ${completions} got their answer and ended`, status.succeeded === completions, status)
    const pods = await cluster.pods(namespace, 'app=visitor')
    check(
      'their pods are still there as objects',
      pods.length === completions,
      pods.map((pod) => pod.status?.phase),
    )
    const known = await until('every ztunnel to forget them', async () => {
      const names = await remembered(cluster)
      return names.length === 0 || Promise.reject(new Error(names.join(', ')))
    }).then(
      () => [],
      (cause: Error) => [cause.message],
    )
    check('no ztunnel knows one of them', known.length === 0, known)
    const left = await leaksAfterAMinute(cluster, before)
    check('nothing of them is held on a node', left.length === 0, left.length > 0 ? left : 'as before')
  },
}
