// Scene 3: a named waypoint splits reviews 90/10, an automatic one serves ratings, the other Services stay L4.

import { type Distribution, until } from '@wishbone/testing/cluster'
import { details, onePod, ratings, reviews, routeAccepted } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

const requests = 1_000

export const waypoints: Scene = {
  number: 3,
  title: 'Waypoints: a 90/10 split on reviews, an automatic one on ratings',
  async play(stage) {
    const { cluster, doing, check } = stage
    await bookinfoEnrolled(stage)
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    doing(
      'kubectl apply -f 03-reviews-split.yaml -f 03-ratings-automatic.yaml; kubectl -n bookinfo label service reviews istio.io/use-waypoint=waypoint',
    )
    await cluster.apply(manifest('03-reviews-split'))
    await cluster.patch('services', 'bookinfo', 'reviews', {
      metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } },
    })
    await cluster.apply(manifest('03-ratings-automatic'))
    await routeAccepted(cluster, 'httproutes', 'bookinfo', 'reviews')
    await until('reviews answers through the waypoint', async () => {
      const seen = await cluster.toolbox<Distribution>(client, 'http', reviews, '--count', '20')
      return (
        (seen.statuses['200'] ?? 0) === 20 && !Object.keys(seen.servedBy).some((pod) => pod.startsWith('reviews-v2'))
      )
    })
    const split = await cluster.toolbox<Distribution>(
      client,
      'http',
      reviews,
      '--count',
      String(requests),
      '--timeout',
      '60000',
    )
    const share = (version: string): number =>
      Object.entries(split.servedBy)
        .filter(([pod]) => pod.startsWith(`reviews-${version}`))
        .reduce((sum, [, count]) => sum + count, 0) / requests
    check(`all of ${requests} requests answer 200`, split.statuses['200'] === requests, split.statuses)
    check(
      'v1 gets 90 % and v3 10 %, within 3',
      Math.abs(share('v1') - 0.9) <= 0.03 && Math.abs(share('v3') - 0.1) <= 0.03,
      split.servedBy,
    )

    const automatic = await until('ratings goes through its automatic waypoint', async () => {
      const answer = await cluster.toolbox(client, 'http', ratings)
      return answer.headers?.['x-through'] === 'automatic-waypoint' ? answer : undefined
    })
    check(
      'the route on ratings works without a Gateway of ours',
      automatic.status === 200,
      automatic.headers?.['x-through'],
    )
    const gateway = await cluster.get('gateways', 'bookinfo', 'wishbone-auto')
    check(
      'it has a Gateway of its own, marked automatic',
      gateway.metadata.labels?.['wishbone.dev/automatic'] !== undefined,
      gateway.metadata.labels,
    )
    const plain = await cluster.toolbox(client, 'http', details)
    check(
      'details stays L4: no L7 proxy has touched it',
      plain.status === 200 && plain.headers?.['x-through'] === undefined && plain.headers?.['via'] === undefined,
      plain.status ?? plain.error,
    )
    const echoed = await cluster.toolbox(client, 'http', 'http://toolbox.bookinfo:8080/')
    const { headers } = JSON.parse(echoed.body ?? '{}') as { readonly headers?: Readonly<Record<string, string>> }
    check(
      "so does toolbox: what it receives has no proxy's header",
      echoed.status === 200 && headers !== undefined && headers['x-forwarded-for'] === undefined,
      headers ?? echoed.error,
    )
  },
}
