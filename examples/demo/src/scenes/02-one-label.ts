// Scene 2: one label brings the namespace into the mesh, under load, without a restart or a failed request;
// afterwards every connection is mTLS between SPIFFE identities; taking the label away reverts it.
import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster, LoadResult } from '@wishbone/testing/cluster'
import { until } from '@wishbone/testing/cluster'
import { allEnrolled, crossing, details, incarnations, tapped, tunnelled } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
import type { Scene } from '../scene.ts'

const loadSeconds = 30

async function label(cluster: Cluster, mode: string | null): Promise<void> {
  await cluster.patch('namespaces', undefined, 'bookinfo', {
    metadata: { labels: { 'istio.io/dataplane-mode': mode } },
  })
}

function summary(results: readonly LoadResult[]): string {
  const kinds = Object.keys(results[0]?.counts ?? {})
  return kinds
    .map((kind) => {
      const counts = results.map((result) => result.counts[kind])
      const sum = (field: 'asked' | 'ok'): number => counts.reduce((total, count) => total + (count?.[field] ?? 0), 0)
      const reasons = counts.flatMap((count) => count?.reasons ?? []).slice(0, 3)
      return `${kind} ${sum('ok')}/${sum('asked')}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`
    })
    .join(', ')
}

export const oneLabel: Scene = {
  number: 2,
  title: 'One label brings a namespace into the mesh, under load',
  async play(stage) {
    const { cluster, doing, check, notApplicable } = stage
    await bookinfoEnrolled(stage, false)
    const { client, server, node } = await crossing(cluster, 'app=details')
    const before = await incarnations(cluster)
    const clients = await cluster.pods('bookinfo', 'app=client')
    doing(
      `${loadSeconds} s of load from ${clients.length} nodes: new connections, keep-alive, HTTP/2, DNS, a TCP stream`,
    )
    const load = Promise.all(clients.map((pod) => cluster.load(pod, 'toolbox', loadSeconds, 100)))
    let loading = true
    const over = (): void => void (loading = false)
    load.then(over, over)
    await delay(5_000)
    doing('kubectl label namespace bookinfo istio.io/dataplane-mode=ambient')
    await label(cluster, 'ambient')
    const enrolled = await allEnrolled(cluster, true)
    await tunnelled(cluster, client, server)

    const { answer, seen } = await tapped(cluster, client, node)
    check('details still answers 200', answer.status === 200, answer.status ?? answer.error)
    const readable = Object.values(seen.found).reduce((sum, count) => sum + count, 0)
    check('nothing of it is readable on the link', readable === 0, seen.found)
    check('it travels as HBONE (port 15008)', (seen.tcpPorts['15008'] ?? 0) > 0, seen.tcpPorts)
    const identities = await until('the access log of the connection', async () => {
      // Another one each time: only the last seconds are read of what the load fills.
      await cluster.toolbox(client, 'http', details)
      for (const pod of await cluster.pods('wishbone-system', 'app=ztunnel')) {
        for (const line of (await cluster.logs(pod, undefined, 20)).split('\n')) {
          if (!line.includes('connection complete') || !line.includes('sa/bookinfo-details')) continue
          const source = /spiffe:\/\/[^\s"]+\/sa\/client/.exec(line)?.[0]
          if (source) return `${source} -> ${/spiffe:\/\/[^\s"]+\/sa\/bookinfo-details/.exec(line)?.[0]}`
        }
      }
      return undefined
    })
    check(
      'both ends have SPIFFE identities',
      identities.includes('spiffe://cluster.local/ns/bookinfo/sa/client'),
      identities,
    )

    doing('kubectl label namespace bookinfo istio.io/dataplane-mode-')
    await label(cluster, null)
    await allEnrolled(cluster, false)
    if (!loading) notApplicable('the way out under load', 'this machine was so slow that the load ended before')
    const after = await until('new connections to leave the mesh', async () => {
      const { found } = (await tapped(cluster, client, node)).seen
      return (found['GET /details/0'] ?? 0) > 0 && found
    })
    check('without the label it is readable again', true, after)

    const results = await load
    const failed = results.reduce((sum, result) => sum + result.failed, 0)
    check('no request failed, in or out', failed === 0, summary(results))
    check('no process was restarted', (await incarnations(cluster)) === before, `${enrolled} pods, the same containers`)

    doing('kubectl label namespace bookinfo istio.io/dataplane-mode=ambient   (it stays for the other scenes)')
    await label(cluster, 'ambient')
    await allEnrolled(cluster, true)
  },
}
