// Scene 6: retries hide a flaky backend; request and backendRequest timeouts cut a slow one with 504.

import { type Distribution, until } from '@wishbone/testing/cluster'
import { onePod, routeAccepted } from '../cast.ts'
import { reviewsBehindWaypoint } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

export const retries: Scene = {
  number: 6,
  title: 'Retries and timeouts',
  async play(stage) {
    const { cluster, doing, check } = stage
    await reviewsBehindWaypoint(stage)
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    doing('kubectl apply -f 06-flaky.yaml')
    await cluster.apply(manifest('06-flaky'))
    await onePod(cluster, 'bookinfo', 'app=flaky')
    const bare = await until('the flaky backend answers', async () => {
      const seen = await cluster.toolbox<Distribution>(
        client,
        'http',
        'http://flaky:8080/bare',
        '--count',
        '40',
        '--concurrency',
        '1',
      )
      const { 200: good = 0, 503: bad = 0 } = seen.statuses
      // Not those of which the first came before the waypoint knew the pod.
      return good > 0 && good + bad === 40 ? seen : Promise.reject(new Error(JSON.stringify(seen.statuses)))
    })
    check('without retries about half of the answers are 503', (bare.statuses['503'] ?? 0) >= 15, bare.statuses)
    doing('kubectl apply -f 06-flaky-routes.yaml')
    await cluster.apply(manifest('06-flaky-routes'))
    await routeAccepted(cluster, 'httproutes', 'bookinfo', 'flaky')
    const retried = await until('the retries are in force', async () => {
      const seen = await cluster.toolbox<Distribution>(
        client,
        'http',
        'http://flaky:8080/retried',
        '--count',
        '40',
        '--concurrency',
        '1',
      )
      return seen.statuses['200'] === 40 ? seen : Promise.reject(new Error(JSON.stringify(seen.statuses)))
    })
    check('with them the client sees none', retried.statuses['200'] === 40, retried.statuses)
    const request = await cluster.toolbox(client, 'http', 'http://flaky:8080/delay/3000')
    check(
      'timeouts.request of 500 ms cuts 3 s with 504',
      request.status === 504 && request.ms < 1_500,
      `${request.status} after ${request.ms} ms`,
    )
    const backend = await cluster.toolbox(client, 'http', 'http://flaky:8080/delay/2000')
    check(
      'timeouts.backendRequest of 400 ms cuts 2 s with 504',
      backend.status === 504 && backend.ms < 1_500,
      `${backend.status} after ${backend.ms} ms`,
    )
  },
}
